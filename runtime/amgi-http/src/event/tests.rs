use super::*;

/// Headers.
type Pairs<'a> = &'a [(&'static str, &'a str)];

fn map(pairs: Pairs) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn read(pairs: &[(&'static str, &str)], body: &str) -> Result<Vec<Message>, Unfit> {
    let map = map(pairs);
    incoming(Kind::of(&map)?, &map, Bytes::copy_from_slice(body.as_bytes()), &Spelling::default())
}

fn one(pairs: &[(&'static str, &str)], body: &str) -> Message {
    read(pairs, body).unwrap().remove(0)
}

fn text<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.get(name).map(|value| std::str::from_utf8(value).unwrap())
}

fn payload(message: &Message) -> Option<&str> {
    message.payload.as_deref().map(|payload| std::str::from_utf8(payload).unwrap())
}

const BINARY: &[(&str, &str)] =
    &[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

#[test]
fn both_modes_are_the_same_message() {
    let mut pairs = BINARY.to_vec();
    pairs.extend([("content-type", "application/json"), ("ce-subject", "a%20b%E2%82%AC"), ("other", "x")]);
    let binary = one(&pairs, r#"{"n":1.0}"#);
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a b€","time":null,
        "datacontenttype":"application/json","data":{"n":1.0}}"#;
    let structured =
        one(&[("content-type", "application/cloudevents+json; charset=UTF-8"), ("other", "x")], event);
    for message in [&binary, &structured] {
        assert_eq!(text(message, "ce-subject"), Some("a b€"));
        assert_eq!(text(message, "content-type"), Some("application/json"));
        assert_eq!(text(message, "other"), Some("x"));
        assert_eq!(payload(message), Some(r#"{"n":1.0}"#));
        assert_eq!(event_type(message), Some("t"));
        assert_eq!(message.headers.len(), 7);
    }
}

#[test]
fn data_is_what_its_type_says() {
    let with = |members: &str| {
        let event = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#);
        one(&[("content-type", STRUCTURED)], &event)
    };
    assert_eq!(payload(&with("")), None);
    assert_eq!(payload(&with(r#","data":"a""#)), Some(r#""a""#));
    assert_eq!(payload(&with(r#","data":12345678901234567890.10"#)), Some("12345678901234567890.10"));
    assert_eq!(payload(&with(r#","data":"a","datacontenttype":"text/plain""#)), Some("a"));
    assert_eq!(payload(&with(r#","data":{"a":1},"datacontenttype":"text/xml""#)), Some(r#"{"a":1}"#));
    assert_eq!(payload(&with(r#","data_base64":"aGk=""#)), Some("hi"));
    assert_eq!(text(&with(r#","retries":3,"urgent":true"#), "ce-retries"), Some("3"));
    assert_eq!(text(&with(r#","retries":3,"urgent":true"#), "ce-urgent"), Some("true"));
}

#[test]
fn what_is_no_event_says_why() {
    let cases: &[(Pairs, &str, &str)] = &[
        (&[("ce-type", "t"), ("ce-specversion", "1.0")], "", "an event must have `id`, `source`"),
        (
            &[("ce-specversion", "0.3"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")],
            "",
            "version `0.3`",
        ),
        (&[("ce-id", "%FF"), ("ce-type", "t")], "", "attribute `id`: not UTF-8"),
        (&[("content-type", STRUCTURED)], "[]", "the body is no event in JSON"),
        (&[("content-type", STRUCTURED)], "{", "the body is no event in JSON"),
        (&[("content-type", STRUCTURED)], r#"{"id":{}}"#, "attribute `id`: not a text"),
        (&[("content-type", STRUCTURED)], r#"{"a b":"1"}"#, "`a b` cannot be the name"),
        (
            &[("content-type", STRUCTURED)],
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":""}"#,
            "both `data` and `data_base64`",
        ),
        (
            &[("content-type", STRUCTURED)],
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"?"}"#,
            "`data_base64`: ",
        ),
        (
            &[("content-type", BATCH)],
            r#"[{"id":"1"},{}]"#,
            "event 0: an event must have `source`, `specversion`, `type`; event 1: ",
        ),
        (&[("content-type", "application/cloudevents+avro")], "", "are not read"),
        (&[("content-type", "application/cloudevents+json; charset=utf-16")], "", "charset `utf-16`"),
    ];
    for (pairs, body, expected) in cases {
        let error = read(pairs, body).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn a_batch_may_be_empty_and_others_need_no_event() {
    assert_eq!(read(&[("content-type", BATCH)], "[]").unwrap(), []);
    let plain = one(
        &[("x-signature", "s"), ("authorization", "Bearer secret"), ("cookie", "c"), ("host", "h")],
        "hi",
    );
    assert_eq!((payload(&plain), plain.headers.len()), (Some("hi"), 1));
    assert_eq!(one(&[], "").payload, None);
    assert_eq!(payload(&one(&[("content-type", "text/plain")], "")), Some(""));
}

#[test]
fn what_goes_out_comes_in() {
    let payloads: [Option<&[u8]>; 6] = [
        None,
        Some(b""),
        Some(b"{\"a\": 1.50}"),
        Some(b"no json"),
        Some(b"\xff\x00"),
        Some("\"ü\"".as_bytes()),
    ];
    for mode in [Mode::Binary, Mode::Structured] {
        let envelope =
            Envelope { mode, source: "/me".to_owned(), content_type: "application/json".to_owned() };
        for (payload, content_type) in payloads
            .into_iter()
            .flat_map(|p| [None, Some("text/plain"), Some("application/json")].map(|c| (p, c)))
        {
            let mut message =
                Message::new("a.b").header("ce-subject", "ü \"%41\"").header("k", "1").header("k", "2");
            message.payload = payload.map(Bytes::from_static);
            if let Some(content_type) = content_type.filter(|_| payload.is_some()) {
                message.headers.push("content-type", content_type);
            }
            let written = envelope.write(&message, "a.b", false).unwrap();
            let kind = Kind::of(&written.headers).unwrap();
            let back =
                incoming(kind, &written.headers, written.body, &Spelling::default()).unwrap().remove(0);
            assert_eq!(back.payload, message.payload, "{mode:?}");
            assert_eq!(event_type(&back), Some("a.b"));
            assert_eq!(text(&back, "ce-subject"), Some("ü \"%41\""));
            assert_eq!(text(&back, "ce-source"), Some("/me"));
            assert_eq!(back.headers.iter().filter(|(name, _)| &name[..] == b"k").count(), 2);
            assert_eq!(back.content_type().is_some(), payload.is_some());
        }
    }
}

#[test]
fn what_http_cannot_hold_is_an_error() {
    let envelope = Envelope { mode: Mode::Binary, source: "/".into(), content_type: "text/plain".into() };
    for (name, value) in
        [("a b", &b"x"[..]), ("", b"x"), ("a", b"x\ny"), ("a", b"\0"), ("ce-a-b", b"x"), ("ce-a", b"\xff")]
    {
        let message = Message::new("a").header(name, value);
        assert!(envelope.write(&message, "t", false).is_err(), "{name:?} {value:?}");
    }
    let message =
        Message::new("a").header("Host", "elsewhere").header("content-length", "7").header("ce-type", "own");
    assert_eq!(envelope.write(&message, "t", false).unwrap().headers["ce-type"], "own");
    let written = envelope.write(&message, "t", true).unwrap();
    assert_eq!(written.headers["ce-type"], "t");
    assert!(!written.headers.contains_key("host") && !written.headers.contains_key("content-length"));
}

#[test]
fn names_are_spelled_as_in_the_document() {
    let mut spelling = Spelling::default();
    spelling.add("correlationId");
    let map = map(&[("correlationid", "1"), ("other", "2")]);
    let message = incoming(Kind::Plain, &map, Bytes::new(), &spelling).unwrap().remove(0);
    assert_eq!((text(&message, "correlationId"), text(&message, "other")), (Some("1"), Some("2")));
}

#[test]
fn ids_are_uuids() {
    let (one, other) = (id(), id());
    assert_ne!(one, other);
    assert_eq!((one.len(), &one[14..15]), (36, "4"));
    assert!("89ab".contains(&one[19..20]), "{one}");
}
