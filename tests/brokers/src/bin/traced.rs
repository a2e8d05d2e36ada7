//! One of two generated services that talk to each other: `traced lamps|devices URL`. The lamps are switched on where it is dark;
//! the devices are what is switched. What is exported, and where to, the environment says.

use std::io::Write as _;

use amgi::{Application, Context, Failure};
use amgi_telemetry::Telemetry;

amgi_gen_macro::asyncapi!("../../specs/lamps.yaml");
amgi_gen_macro::asyncapi!("../../specs/lamps.yaml", as devices, peer);

fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

struct Lamps;

impl lamps::LightMeasuredHandler for Lamps {
    type Error = Failure;

    async fn on_light_measured(
        &self,
        channel: lamps::LightMeasuredChannel,
        message: lamps::LightMeasured,
        cx: &Context,
    ) -> Result<(), Failure> {
        tracing::info!(lumens = message.payload.lumens, "measured");
        let lamp = lamps::LampSwitchChannel {
            district: match channel.district {
                lamps::types::LightMeasuredDistrict::North => lamps::types::LampSwitchDistrict::North,
                lamps::types::LightMeasuredDistrict::South => lamps::types::LampSwitchDistrict::South,
            },
            lamp_id: channel.lamp_id,
        };
        let payload =
            lamps::types::LampSwitchPayload { state: lamps::types::LampSwitchPayloadState::On, fade: 3 };
        lamps::Sender::from(cx).switch_lamp(&lamp, lamps::LampSwitch { payload }).await?;
        Ok(())
    }
}

impl lamps::NotesHandler for Lamps {
    type Error = Failure;

    async fn on_note(&self, _: lamps::Note, _: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

impl lamps::PicturesHandler for Lamps {
    type Error = Failure;

    async fn on_picture(&self, _: lamps::Picture, _: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

struct Devices;

impl devices::LampSwitchHandler for Devices {
    type Error = Failure;

    async fn on_lamp_switch(
        &self,
        channel: devices::LampSwitchChannel,
        message: devices::LampSwitch,
        _: &Context,
    ) -> Result<(), Failure> {
        say(&format!("switched {} {:?}", channel.lamp_id, message.payload.state));
        Ok(())
    }
}

async fn serve(app: impl Application, url: String, name: &str) -> amgi::Result<()> {
    amgi_mqtt::Server::new(app).url(url).client_id(name).on_ready(|| say("ready")).serve().await
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let mut args = std::env::args().skip(1);
    let (role, url) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    if role == "lamps" {
        let telemetry = Telemetry::from_env().document(&lamps::DOCUMENT).install()?;
        if let Some(address) = telemetry.address() {
            say(&format!("listens {address}"));
        }
        serve(lamps::app(Lamps).layer(telemetry.layer()), url, "lamps").await
    } else {
        let telemetry = Telemetry::from_env().document(&devices::DOCUMENT).install()?;
        serve(devices::app(Devices).layer(telemetry.layer()), url, "devices").await
    }
}
