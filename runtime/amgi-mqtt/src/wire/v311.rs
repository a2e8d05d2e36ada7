//! MQTT 3.1.1.

use amgi::ByteString;
use bytes::BytesMut;
use rumqttc::mqttbytes::{
    self, Error, Protocol, QoS,
    v4::{self, ConnectReturnCode, Login, Packet, SubscribeFilter, SubscribeReasonCode},
};

use super::{ConnAck, Incoming, LARGEST, Outgoing, Publish, WireError, words};

pub(super) fn decode(buffer: &mut BytesMut) -> Result<Option<Incoming>, WireError> {
    let before = buffer.len();
    let packet = match Packet::read(buffer, LARGEST as usize) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(more)) if buffer.len() == before => {
            buffer.reserve(more);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Some(match packet {
        Packet::ConnAck(ack) => Incoming::ConnAck(ConnAck {
            session_present: ack.session_present,
            refused: (ack.code != ConnectReturnCode::Success).then(|| words(&ack.code)),
            ..ConnAck::default()
        }),
        Packet::Publish(publish) => Incoming::Publish(Publish {
            dup: publish.dup,
            qos: publish.qos as u8,
            retain: publish.retain,
            topic: ByteString::from(publish.topic),
            id: publish.pkid,
            payload: publish.payload,
            properties: None,
        }),
        Packet::PubAck(ack) => Incoming::PubAck(ack.pkid, Ok(())),
        Packet::PubRec(ack) => Incoming::PubRec(ack.pkid, Ok(())),
        Packet::PubRel(rel) => Incoming::PubRel(rel.pkid),
        Packet::PubComp(comp) => Incoming::PubComp(comp.pkid),
        Packet::SubAck(ack) => Incoming::SubAck(
            ack.pkid,
            ack.return_codes
                .into_iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(qos) => Ok(qos as u8),
                    SubscribeReasonCode::Failure => Err("refused".to_owned()),
                })
                .collect(),
        ),
        Packet::PingResp => Incoming::PingResp,
        Packet::Disconnect => Incoming::Disconnect { reason: "disconnected".to_owned(), taken_over: false },
        _ => Incoming::Other,
    }))
}

fn qos(level: u8) -> QoS {
    mqttbytes::qos(level).unwrap_or(QoS::AtLeastOnce)
}

pub(super) fn encode(packet: &Outgoing<'_>, buffer: &mut BytesMut, most: u32) -> Result<(), WireError> {
    let packet = match packet {
        Outgoing::Connect(connect) => Packet::Connect(v4::Connect {
            protocol: Protocol::V4,
            keep_alive: connect.keep_alive,
            client_id: connect.client_id.clone(),
            clean_session: connect.clean,
            last_will: connect.last_will.as_ref().map(|will| v4::LastWill {
                topic: will.topic.clone(),
                message: will.payload.clone(),
                qos: qos(will.qos),
                retain: will.retain,
            }),
            login: connect.login.as_ref().map(|(user, password)| Login::new(user, password)),
        }),
        Outgoing::Subscribe(id, filters) => Packet::Subscribe(v4::Subscribe {
            pkid: *id,
            filters: filters
                .iter()
                .map(|filter| SubscribeFilter { path: filter.path.clone(), qos: qos(filter.qos) })
                .collect(),
        }),
        Outgoing::Publish(publish) => Packet::Publish(v4::Publish {
            dup: publish.dup,
            qos: qos(publish.qos),
            retain: publish.retain,
            topic: publish.topic.to_string(),
            pkid: publish.id,
            payload: publish.payload.clone(),
        }),
        Outgoing::PubAck(id) => Packet::PubAck(v4::PubAck::new(*id)),
        Outgoing::PubRec(id) => Packet::PubRec(v4::PubRec::new(*id)),
        Outgoing::PubRel(id) => Packet::PubRel(v4::PubRel::new(*id)),
        Outgoing::PubComp(id) => Packet::PubComp(v4::PubComp::new(*id)),
        Outgoing::PingReq => Packet::PingReq,
        Outgoing::Disconnect => Packet::Disconnect,
    };
    packet.write(buffer, most as usize)?;
    Ok(())
}
