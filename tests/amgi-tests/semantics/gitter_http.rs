//! HTTP streaming, AsyncAPI 2.4: one of two messages is sent to a room; nothing is received.

use std::sync::Arc;

use amgi::{Application, NoSender};
use serde_json::json;

use crate::{
    common::json,
    gitter_http::{
        ChatMessage, ChatMessageBindings, Heartbeat, HeartbeatBindings, RoomsRoomId, Sender, app,
        types::{ChatMessageHttpHeaders, ChatMessagePayload, HeartbeatPayload},
    },
};

#[test]
fn both_messages_go_to_the_room() {
    let sender = Sender::new(Arc::new(NoSender));
    let room = RoomsRoomId { room_id: "53307860c3599d1de448e19d".to_owned() };
    let headers = ChatMessageHttpHeaders { transfer_encoding: "chunked".parse().ok(), trailer: None };
    let chat = ChatMessage {
        payload: ChatMessagePayload { id: Some("1".to_owned()), text: Some("Hello".to_owned()) },
        bindings: ChatMessageBindings { http_headers: Some(headers) },
    };
    let sent = sender.send_rooms_room_id(&room, chat).into_message().expect("it is valid");
    assert_eq!(sent.address, "/rooms/53307860c3599d1de448e19d");
    assert_eq!(json(&sent), json!({"id": "1", "text": "Hello"}));
    let headers =
        sent.bindings.get("http", "headers").and_then(amgi::BindingValue::as_bytes).expect("headers");
    let headers: serde_json::Value = serde_json::from_slice(headers).expect("JSON");
    assert_eq!(headers, json!({"Transfer-Encoding": "chunked"}));

    let heartbeat = "\r\n".parse::<HeartbeatPayload>().expect("the only value");
    let sent = sender
        .send_rooms_room_id(&room, Heartbeat { payload: heartbeat, bindings: HeartbeatBindings::default() })
        .into_message()
        .expect("it is valid");
    assert_eq!(json(&sent), json!("\r\n"));
    assert!(sent.bindings.is_empty());
}

#[test]
fn a_room_is_one_level_of_the_address() {
    assert_eq!("/rooms/a".parse::<RoomsRoomId>().expect("a room").room_id, "a");
    assert!("/rooms/a/b".parse::<RoomsRoomId>().is_err() && "/room/a".parse::<RoomsRoomId>().is_err());
    let app = app(());
    assert!(app.channels().is_empty());
    assert_eq!((app.servers()[0].host, app.servers()[0].path), ("stream.gitter.im", "/v1"));
}
