//! Which handler gets which message of `specs/choices.yaml`, and what is said of messages that are none.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use amgi::{Context, Message, Reason, Settlement, TypedMessage, error::Part, testing::TestApp};

/// Generated from `choices.yaml`.
#[allow(dead_code, unreachable_pub)]
#[path = "../expected/choices.rs"]
#[rustfmt::skip]
mod choices;

use choices::*;

/// Notes which method was called.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<&'static str>>>);

macro_rules! handlers {
    ($($handler:ident { $($method:ident($message:ident))* })*) => {$(
        impl $handler for Notes {
            type Error = Infallible;
            $(
                async fn $method(&self, _: $message, _: &Context) -> Result<(), Infallible> {
                    self.0.lock().unwrap().push($message::NAME);
                    Ok(())
                }
            )*
        }
    )*};
}

handlers! {
    TaggedHandler { on_opened(Opened) on_closed(Closed) on_moved(Moved) on_remark(Remark) }
    NestedHandler { on_started(Started) on_stopped(Stopped) }
    NumberedHandler { on_first(First) on_second(Second) on_draft(Draft) }
    AnimalsHandler { on_animal(Animal) on_cat(Cat) on_dog(Dog) }
    FormatsHandler { on_text(Text) on_picture(Picture) on_added(Added) on_removed(Removed) }
    HeadedHandler { on_urgent(Urgent) on_usual(Usual) }
    ShapedHandler { on_person(Person) on_employee(Employee) }
}

impl AskedHandler for Notes {
    type Error = Infallible;

    async fn ask(&self, request: AskRequest, _: &Context) -> Result<AskReply, Infallible> {
        self.0.lock().unwrap().push(match request {
            AskRequest::AskName(_) => AskName::NAME,
            AskRequest::AskAge(_) => AskAge::NAME,
        });
        Ok(AskReply::Name(Name::example().expect("the document has an example")))
    }
}

/// Delivers a message; the handler that got it, or where it was refused and why.
async fn deliver(message: Message) -> Result<&'static str, (Part, String, String)> {
    let notes = Notes::default();
    let app = TestApp::start(app(notes.clone())).await.expect("the application starts");
    match app.deliver(message).await.settlement {
        Settlement::Ack => Ok(notes.0.lock().unwrap().pop().expect("a handler was called")),
        Settlement::Fail { reason: Reason::Rejected(rejection), .. } => {
            Err((rejection.part(), rejection.pointer().to_owned(), rejection.to_string()))
        }
        other => panic!("{other:?}"),
    }
}

fn at(address: &'static str, payload: &'static str) -> Message {
    Message::new(address).payload(payload)
}

#[tokio::test]
async fn a_tag_chooses_and_what_has_none_is_left() {
    assert_eq!(deliver(at("tagged", r#"{"type":"opened"}"#)).await, Ok("opened"));
    assert_eq!(deliver(at("tagged", r#"{"type":"closed","at":1}"#)).await, Ok("closed"));
    assert_eq!(deliver(at("tagged", r#"{"at":1}"#)).await, Ok("closed"), "its tag may be missing");
    assert_eq!(deliver(at("tagged", r#"{"type":"raised","up":1}"#)).await, Ok("moved"));
    assert_eq!(deliver(at("tagged", r#"{"type":"lowered","down":1}"#)).await, Ok("moved"));
    assert_eq!(deliver(at("tagged", r#"{"type":"opened","by":1,"text":"x"}"#)).await, Ok("remark"));
    assert_eq!(deliver(at("tagged", r#"{"text":"x"}"#)).await, Ok("remark"));
    let (part, _, detail) = deliver(at("tagged", r#"{"type":"other"}"#)).await.unwrap_err();
    assert!(
        part == Part::Payload && detail.contains("expected the member `text`"),
        "only `remark` was tried: {detail}"
    );
}

#[tokio::test]
async fn a_tag_may_lie_deep_and_need_not_be_a_text() {
    let nested =
        |tag: &str| Message::new("nested").payload(format!(r#"{{"event":{{"header":{{"type":"{tag}"}}}}}}"#));
    assert_eq!(deliver(nested("started")).await, Ok("started"));
    assert_eq!(deliver(nested("stopped")).await, Ok("stopped"));
    let (_, pointer, detail) = deliver(nested("paused")).await.unwrap_err();
    assert_eq!(pointer, "/event/header/type");
    assert!(detail.contains("\"paused\"") && detail.contains("`started` or `stopped`"), "{detail}");
    assert_eq!(deliver(at("numbered", r#"{"version":1}"#)).await, Ok("first"));
    assert_eq!(deliver(at("numbered", r#"{"version":3}"#)).await, Ok("second"));
    assert_eq!(deliver(at("numbered", r#"{"draft":true}"#)).await, Ok("draft"));
    assert!(deliver(at("numbered", r#"{"version":"1"}"#)).await.is_err());
}

#[tokio::test]
async fn a_discriminator_holds_the_name_of_the_schema() {
    assert_eq!(deliver(at("animals", r#"{"kind":"Cat","lives":9}"#)).await, Ok("cat"));
    assert_eq!(deliver(at("animals", r#"{"kind":"Dog"}"#)).await, Ok("dog"));
    assert_eq!(deliver(at("animals", r#"{"kind":"Animal"}"#)).await, Ok("animal"));
    let (_, pointer, detail) = deliver(at("animals", r#"{"kind":"Cow"}"#)).await.unwrap_err();
    assert_eq!(pointer, "/kind");
    assert!(detail.contains("`Animal` or `Cat` or `Dog`"), "{detail}");
}

#[tokio::test]
async fn the_content_type_comes_before_the_tag() {
    let typed =
        |content_type: &'static str, payload| at("formats", payload).header("content-type", content_type);
    let add = r#"{"op":"add","id":1}"#;
    assert_eq!(deliver(typed("text/plain", "hello")).await, Ok("text"));
    assert_eq!(deliver(typed("TEXT/PLAIN;charset=ascii", "{}")).await, Ok("text"));
    assert_eq!(deliver(typed("image/png", add)).await, Ok("picture"));
    assert_eq!(deliver(typed("application/json", add)).await, Ok("added"));
    assert_eq!(deliver(typed("application/json", r#"{"op":"remove","id":1}"#)).await, Ok("removed"));
    let amqp = at("formats", add).binding("amqp", "content_type", "image/png");
    assert_eq!(deliver(amqp).await, Ok("picture"));
    // Nobody said it: the shape decides, JSON before text before bytes.
    assert_eq!(deliver(at("formats", add)).await, Ok("added"));
    assert_eq!(deliver(at("formats", "hello")).await, Ok("text"));
    assert_eq!(deliver(at("formats", "longer than ten")).await, Ok("picture"));
    let (part, pointer, detail) = deliver(typed("text/html", add)).await.unwrap_err();
    assert_eq!((part, pointer.as_str()), (Part::Headers, "/content-type"), "{detail}");
    assert!(detail.contains("\"text/html\"") && detail.contains("`image/png`"), "{detail}");
    let (_, pointer, _) = deliver(typed("application/json", r#"{"op":"keep"}"#)).await.unwrap_err();
    assert_eq!(pointer, "/op");
}

#[tokio::test]
async fn who_sends_a_message_says_its_content_type_where_that_counts() {
    let text = Text { payload: "hello".to_owned() }.to_message("formats").expect("it can be sent");
    assert_eq!(text.content_type(), Some("Text/Plain; charset=utf-8"));
    assert_eq!(deliver(text).await, Ok("text"));
    let name = Name::example().expect("there is one").to_message("answers").expect("it can be sent");
    assert_eq!(name.content_type(), None);
}

#[tokio::test]
async fn a_header_or_the_shape_decides() {
    let headed = |priority: &'static str| at("headed", "{}").header("priority", priority);
    assert_eq!(deliver(headed("9")).await, Ok("urgent"));
    assert_eq!(deliver(headed("1")).await, Ok("usual"));
    let (part, pointer, _) = deliver(headed("5")).await.unwrap_err();
    assert_eq!((part, pointer.as_str()), (Part::Headers, "/priority"));
    // The more particular one is tried first, though it comes later in the document.
    assert_eq!(deliver(at("shaped", r#"{"name":"Ada","company":"x"}"#)).await, Ok("employee"));
    assert_eq!(deliver(at("shaped", r#"{"name":"Ada"}"#)).await, Ok("person"));
    let (_, _, detail) = deliver(at("shaped", "{}")).await.unwrap_err();
    assert!(detail.contains("`person`") && detail.contains("`employee`"), "{detail}");
}

#[tokio::test]
async fn requests_and_unions_are_told_apart_the_same_way() {
    assert_eq!(deliver(at("asked", r#"{"ask":"age"}"#)).await, Ok("askAge"));
    assert_eq!(deliver(at("asked", r#"{"ask":"name"}"#)).await, Ok("askName"));
    let reply = |payload| AskReply::decode(&at("answers", payload));
    assert!(matches!(reply(r#"{"is":"age","age":7}"#), Ok(AskReply::Age(_))));
    assert!(matches!(reply(r#"{"is":"name","name":"Ada"}"#), Ok(AskReply::Name(_))));
    assert_eq!(reply(r#"{"is":"age"}"#).unwrap_err().pointer(), "", "only `age` was tried");
    assert_eq!(reply(r#"{"is":"size"}"#).unwrap_err().pointer(), "/is");
}
