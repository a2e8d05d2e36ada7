//! A generated application on a real mosquitto: typed parameters, headers and payloads come in, what does not fit is
//! dead-lettered with its JSON Pointer, sends go out as the document says.

use amgi::{Context, Failure};
use amgi_brokers_tests::{Mosquitto, Peer, Running, init_logs, within};
use amgi_mqtt::{Server, Version};
use tokio::sync::mpsc;

amgi_gen_macro::asyncapi!("../../specs/lamps.yaml");

use lamps::{
    LampSwitch, LampSwitchChannel, LightMeasured, LightMeasuredChannel, LightMeasuredHandler, Note,
    NotesHandler, Picture, PicturesHandler, Sender, types,
};

/// Tells the test what came in, and switches a lamp on where it is dark.
#[derive(Clone)]
struct Lamps(mpsc::UnboundedSender<(String, String)>);

impl Lamps {
    fn tell(&self, what: &str, shown: String) {
        let _ = self.0.send((what.to_owned(), shown));
    }
}

impl LightMeasuredHandler for Lamps {
    type Error = Failure;

    async fn on_light_measured(
        &self,
        channel: LightMeasuredChannel,
        message: LightMeasured,
        cx: &Context,
    ) -> Result<(), Failure> {
        if message.payload.lumens < 10 {
            let lamp = LampSwitchChannel {
                district: match channel.district {
                    types::LightMeasuredDistrict::North => types::LampSwitchDistrict::North,
                    types::LightMeasuredDistrict::South => types::LampSwitchDistrict::South,
                },
                lamp_id: channel.lamp_id.clone(),
            };
            let payload = types::LampSwitchPayload { state: types::LampSwitchPayloadState::On, fade: 3 };
            Sender::from(cx).switch_lamp(&lamp, LampSwitch { payload }).await?;
        }
        let (lumens, sensor) = (message.payload.lumens, message.headers.sensor);
        self.tell("light", format!("{} {} {lumens} {sensor:?}", channel.district, channel.lamp_id));
        Ok(())
    }
}

impl NotesHandler for Lamps {
    type Error = Failure;

    async fn on_note(&self, message: Note, _: &Context) -> Result<(), Failure> {
        self.tell("note", message.payload);
        Ok(())
    }
}

impl PicturesHandler for Lamps {
    type Error = Failure;

    async fn on_picture(&self, message: Picture, _: &Context) -> Result<(), Failure> {
        self.tell("picture", format!("{:?}", message.payload));
        Ok(())
    }
}

async fn runs_on(version: Version) {
    init_logs();
    let broker = Mosquitto::start();
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::new(lamps::app(Lamps(tell))).url(broker.url()).version(version).client_id("lamps");
    let running = Running::start(server).await;
    let mut dead = Peer::watch(&broker, "lamps/#").await;

    broker.mosquitto_pub(&[
        "-q",
        "1",
        "-t",
        "lamps/north/7/light",
        "-m",
        r#"{"lumens":120,"history":[1,2]}"#,
    ]);
    let expected = ("light".to_owned(), "north 7 120 None".to_owned());
    assert_eq!(within("a measurement", told.recv()).await, Some(expected));

    broker.publish("lamps/notes", "Lamp 7 needs a new bulb.");
    let expected = ("note".to_owned(), "Lamp 7 needs a new bulb.".to_owned());
    assert_eq!(within("a note", told.recv()).await, Some(expected));

    // It is dark, so the lamp is switched on: QoS 2 and retained, as the document's bindings say.
    broker.publish("lamps/south/8/light", r#"{"lumens":0}"#);
    let expected = ("light".to_owned(), "south 8 0 None".to_owned());
    assert_eq!(within("a dark measurement", told.recv()).await, Some(expected));
    loop {
        let seen = dead.next().await;
        if seen.topic == "lamps/south/8/switch" {
            assert_eq!((seen.payload.as_str(), seen.qos), (r#"{"state":"on","fade":3}"#, 2));
            break;
        }
    }

    // What does not fit never reaches the handler.
    for (topic, payload, pointer) in [
        ("lamps/north/7/light", r#"{"lumens":"bright"}"#, "payload `/lumens`"),
        ("lamps/north/7/light", r#"{"lumens":1,"history":[1,-2]}"#, "payload `/history/1`"),
        ("lamps/north/7/light", r#"{"lumens":200001}"#, "payload `/lumens`"),
        ("lamps/north/7/light", r#"{"lumens":1,"colour":"red"}"#, "payload `/colour`"),
        ("lamps/north/7/light", "{", "payload ``"),
        ("lamps/west/7/light", r#"{"lumens":1}"#, "address `/district`"),
    ] {
        broker.publish(topic, payload);
        let letter = loop {
            let seen = dead.next().await;
            if seen.topic == format!("{topic}.dlq") {
                break seen;
            }
        };
        assert_eq!(letter.payload, payload);
        if version == Version::V5 {
            let reason = letter.header("amgi-dead-letter-reason").expect("a dead letter says why");
            assert!(reason.starts_with(pointer), "{payload}: {reason}");
        }
    }
    assert!(told.try_recv().is_err(), "no handler saw any of them");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_on_mqtt_5() {
    runs_on(Version::V5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_on_mqtt_3_1_1() {
    runs_on(Version::V311).await;
}

/// `lamps::DOCUMENT` has the whole document; a program without a use for it, such as this one, does not.
#[test]
fn the_document_is_no_part_of_programs_that_do_not_use_it() {
    let holds = |program: &std::path::Path| {
        let bytes = std::fs::read(program).expect("a program");
        // Put together here, so that this is not what is found.
        let start = "{!asyncapi!:!".replace('!', "\"");
        bytes.windows(start.len()).any(|window| window == start.as_bytes())
    };
    assert!(!holds(&std::env::current_exe().expect("this program")));
    assert!(holds(env!("CARGO_BIN_EXE_bridge").as_ref()), "one with a command line has it");
}
