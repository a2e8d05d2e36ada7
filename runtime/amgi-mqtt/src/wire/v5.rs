//! MQTT 5.

use amgi::ByteString;
use bytes::{Buf, BytesMut};
use rumqttc::v5::mqttbytes::{
    self, Error, QoS,
    v5::{
        self, ConnectProperties, ConnectReturnCode, DisconnectReasonCode, Login, Packet, PubAckReason,
        PubRecReason, RetainForwardRule, SubscribeReasonCode,
    },
};

use super::{ConnAck, Connect, Filter, Incoming, Outgoing, Publish, WireError, words};

pub(super) fn decode(buffer: &mut BytesMut) -> Result<Option<Incoming>, WireError> {
    // DISCONNECT without properties is legal; rumqttc takes it for cut off.
    if let [0xe0, length @ 0..=1, rest @ ..] = &buffer[..]
        && rest.len() >= usize::from(*length)
    {
        let code = if *length == 0 { 0 } else { rest[0] };
        let reason = DisconnectReasonCode::try_from(code);
        buffer.advance(2 + usize::from(buffer[1]));
        return Ok(Some(Incoming::Disconnect {
            taken_over: reason.as_ref().is_ok_and(|reason| *reason == DisconnectReasonCode::SessionTakenOver),
            reason: reason.map_or_else(|_| format!("reason {code}"), |reason| words(&reason)),
        }));
    }
    let before = buffer.len();
    let packet = match Packet::read(buffer, None) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(more)) if buffer.len() == before => {
            buffer.reserve(more);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Some(match packet {
        Packet::ConnAck(ack) => Incoming::ConnAck(connack(ack)),
        Packet::Publish(publish) => Incoming::Publish(Publish {
            dup: publish.dup,
            qos: publish.qos as u8,
            retain: publish.retain,
            topic: ByteString::try_from(publish.topic).map_err(|_| WireError::Topic)?,
            id: publish.pkid,
            payload: publish.payload,
            properties: publish.properties.map(Box::new),
        }),
        Packet::PubAck(ack) => Incoming::PubAck(
            ack.pkid,
            match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
                reason => Err(said(reason, ack.properties.and_then(|p| p.reason_string))),
            },
        ),
        Packet::PubRec(ack) => Incoming::PubRec(
            ack.pkid,
            match ack.reason {
                PubRecReason::Success | PubRecReason::NoMatchingSubscribers => Ok(()),
                reason => Err(said(reason, ack.properties.and_then(|p| p.reason_string))),
            },
        ),
        Packet::PubRel(rel) => Incoming::PubRel(rel.pkid),
        Packet::PubComp(comp) => Incoming::PubComp(comp.pkid),
        Packet::SubAck(ack) => Incoming::SubAck(
            ack.pkid,
            ack.return_codes
                .into_iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(qos) => Ok(qos as u8),
                    reason => Err(words(&reason)),
                })
                .collect(),
        ),
        Packet::PingResp(_) => Incoming::PingResp,
        Packet::Disconnect(disconnect) => Incoming::Disconnect {
            taken_over: disconnect.reason_code == DisconnectReasonCode::SessionTakenOver,
            reason: said(disconnect.reason_code, disconnect.properties.and_then(|p| p.reason_string)),
        },
        _ => Incoming::Other,
    }))
}

fn connack(ack: v5::ConnAck) -> ConnAck {
    let properties = ack.properties.as_ref();
    ConnAck {
        session_present: ack.session_present,
        receive_maximum: properties.and_then(|p| p.receive_max),
        maximum_qos: properties.and_then(|p| p.max_qos),
        retain_available: properties.and_then(|p| p.retain_available).map(|flag| flag != 0),
        maximum_packet_size: properties.and_then(|p| p.max_packet_size),
        keep_alive: properties.and_then(|p| p.server_keep_alive),
        shared_subscriptions: properties.and_then(|p| p.shared_subscription_available).map(|flag| flag != 0),
        refused: (ack.code != ConnectReturnCode::Success)
            .then(|| said(ack.code, ack.properties.and_then(|p| p.reason_string))),
    }
}

/// The reason code by its name, and what the broker wrote beside it.
fn said(reason: impl std::fmt::Debug, text: Option<String>) -> String {
    let reason = words(&reason);
    match text {
        Some(text) if !text.is_empty() => format!("{reason}: {text}"),
        _ => reason,
    }
}

fn qos(level: u8) -> QoS {
    mqttbytes::qos(level).unwrap_or(QoS::AtLeastOnce)
}

pub(super) fn encode(packet: &Outgoing<'_>, buffer: &mut BytesMut, most: u32) -> Result<(), WireError> {
    let packet = match packet {
        Outgoing::Connect(connect) => connect_packet(connect),
        Outgoing::Subscribe(id, filters) => Packet::Subscribe(v5::Subscribe {
            pkid: *id,
            filters: filters.iter().map(filter).collect(),
            properties: None,
        }),
        Outgoing::Publish(publish) => Packet::Publish(v5::Publish {
            dup: publish.dup,
            qos: qos(publish.qos),
            retain: publish.retain,
            topic: publish.topic.as_bytes().clone(),
            pkid: publish.id,
            payload: publish.payload.clone(),
            properties: publish.properties.as_deref().cloned(),
        }),
        Outgoing::PubAck(id) => Packet::PubAck(v5::PubAck::new(*id, None)),
        Outgoing::PubRec(id) => Packet::PubRec(v5::PubRec::new(*id, None)),
        Outgoing::PubRel(id) => Packet::PubRel(v5::PubRel::new(*id, None)),
        Outgoing::PubComp(id) => Packet::PubComp(v5::PubComp::new(*id, None)),
        Outgoing::PingReq => Packet::PingReq(v5::PingReq),
        Outgoing::Disconnect => {
            Packet::Disconnect(v5::Disconnect::new(DisconnectReasonCode::NormalDisconnection))
        }
    };
    packet.write(buffer, Some(most))?;
    Ok(())
}

fn connect_packet(connect: &Connect) -> Packet {
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(connect.session_expiry);
    properties.receive_maximum = Some(connect.receive_maximum);
    properties.max_packet_size = connect.maximum_packet_size;
    let login = connect.login.as_ref().map(|(user, password)| Login::new(user, password));
    let will = connect.last_will.as_ref().map(|will| v5::LastWill {
        topic: will.topic.clone().into(),
        message: will.payload.clone(),
        qos: qos(will.qos),
        retain: will.retain,
        properties: None,
    });
    Packet::Connect(
        v5::Connect {
            keep_alive: connect.keep_alive,
            client_id: connect.client_id.clone(),
            clean_start: connect.clean,
            properties: Some(properties),
        },
        will,
        login,
    )
}

fn filter(filter: &Filter) -> v5::Filter {
    v5::Filter {
        path: filter.path.clone(),
        qos: qos(filter.qos),
        nolocal: false,
        // The flag marks a message that was kept for us, as on 3.1.1.
        preserve_retain: false,
        // A restart resumes the subscription; retained messages do not come again.
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
    }
}
