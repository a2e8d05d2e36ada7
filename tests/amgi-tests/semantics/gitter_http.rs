//! HTTP streaming, AsyncAPI 2.4: one of two messages is sent to a room; nothing is received.

use std::sync::Arc;

use amgi::{Application, NoSender};
use serde_json::json;

use crate::{
    common::json,
    gitter_http::{
        ChatMessage, Heartbeat, RoomsRoomId, Sender, app,
        types::{ChatMessagePayload, HeartbeatPayload},
    },
};

#[test]
fn both_messages_go_to_the_room() {
    let sender = Sender::new(Arc::new(NoSender));
    let room = RoomsRoomId { room_id: "53307860c3599d1de448e19d".to_owned() };
    let chat = ChatMessage { payload: ChatMessagePayload { id: Some("1".to_owned()), text: Some("Hello".to_owned()) } };
    let sent = sender.send_rooms_room_id(&room, chat).into_message().expect("it is valid");
    assert_eq!(sent.address, "/rooms/53307860c3599d1de448e19d");
    assert_eq!(json(&sent), json!({"id": "1", "text": "Hello"}));

    let heartbeat = "\r\n".parse::<HeartbeatPayload>().expect("the only value");
    let sent = sender.send_rooms_room_id(&room, Heartbeat { payload: heartbeat }).into_message().expect("it is valid");
    assert_eq!(json(&sent), json!("\r\n"));
}

#[test]
fn a_room_is_one_level_of_the_address() {
    assert_eq!("/rooms/a".parse::<RoomsRoomId>().expect("a room").room_id, "a");
    assert!("/rooms/a/b".parse::<RoomsRoomId>().is_err() && "/room/a".parse::<RoomsRoomId>().is_err());
    let app = app(());
    assert!(app.channels().is_empty());
    assert_eq!((app.servers()[0].host, app.servers()[0].path), ("stream.gitter.im", "/v1"));
}
