//! Messages by hand: `send` and `validate`.

use std::{
    io::{self, IsTerminal as _, Read as _},
    sync::{Arc, Mutex, PoisonError},
};

use bytestring::ByteString;
use clap::ArgMatches;
use tokio::sync::oneshot;
use tracing::info;

use super::{Failure, Served, command, print, target};
use crate::{
    Result,
    context::Context,
    contract::{
        Application, BindingValue, ChannelInfo, Document, Message, MessageSend, MessageType, ServerInfo,
        Settlement, State,
    },
    error::{Error, Rejection, StartupError},
    memory::sent_line,
    protocol::Endpoint,
    server::Stop,
};

/// `send OPERATION`: makes a message of standard input, checks it, and sends it.
pub(super) async fn send<A>(
    document: &Document,
    protocols: &[Arc<dyn Served<A>>],
    matches: &ArgMatches,
) -> Result<(), Failure> {
    let name = matches.get_one::<String>("OPERATION").map_or("", String::as_str);
    let Some(send) = document.sends.iter().find(|send| send.name == name) else {
        return Err(Failure::Failed(format!("there is no operation `{name}`")));
    };
    let address =
        command::address(&send.channel, &command::texts(matches, "param"), matches.get_one("address"))?;
    if let Err(rejection) = (send.channel.check)(&address) {
        return Err(Failure::Failed(violations(&format!("the address does not fit `{name}`"), &rejection)));
    }
    let raw = given(address, matches)?;
    let mut message = Message::new(raw.address.clone());
    (send.bindings)(&mut message.bindings);
    let (_, mut message) = choose(send.messages, &raw, &message, matches)?;
    // What the document does not name goes along: whoever writes it by hand means it.
    for (name, value) in &raw.headers {
        if message.headers.iter().all(|(known, _)| known != name) {
            message.headers.push(name.clone(), value.clone());
        }
    }
    for binding in &raw.bindings {
        message.bindings.set(binding.protocol.clone(), binding.field.clone(), binding.value.clone());
    }
    let line = sent_line(&message);
    if !matches.get_flag("print") {
        let target = match matches.get_one::<String>("server") {
            Some(text) => target::target(document, protocols, text)?,
            None => target::only_of(document, protocols, send.channel.servers)?,
        };
        let mut targets = [target];
        target::settle(&mut targets, matches)?;
        let [target] = targets;
        if target.protocol.info().name == super::memory::INFO.name {
            return print(&line);
        }
        pass(target, message).await?;
    }
    print(&line)
}

/// `validate CHANNEL`: says which message standard input is.
pub(super) fn validate(document: &Document, matches: &ArgMatches) -> Result<(), Failure> {
    let name = matches.get_one::<String>("CHANNEL").map_or("", String::as_str);
    let Some((place, messages)) = command::places(document).into_iter().find(|(place, _)| place.name == name)
    else {
        return Err(Failure::Failed(format!("there is no channel `{name}`")));
    };
    let raw = given(place.address.unwrap_or_default().to_owned(), matches)?;
    let (message, _) = choose(&messages, &raw, &Message::new(raw.address.clone()), matches)?;
    print(&format!("{}\n", message.name))
}

/// Bindings that are text even where they look like numbers.
const TEXTS: [(&str, &str); 3] =
    [("kafka", "key"), ("sqs", "message_group_id"), ("sqs", "message_deduplication_id")];

/// The message that was written, unchecked.
fn given(address: String, matches: &ArgMatches) -> Result<Message> {
    let mut message = Message::new(address);
    for text in command::texts(matches, "header") {
        let (name, value) = command::pair(&text, "--header", "NAME=VALUE")?;
        message.headers.push(name.to_owned(), value.to_owned());
    }
    for text in command::texts(matches, "binding") {
        let form = "PROTOCOL.FIELD=VALUE";
        let (place, value) = command::pair(&text, "--binding", form)?;
        let Some((protocol, field)) = place.split_once('.') else {
            return Err(Error::Config(format!("--binding: `{text}` is not of the form {form}")));
        };
        let value = if TEXTS.contains(&(protocol, field)) { value.into() } else { binding(value) };
        message.bindings.set(protocol, field, value);
    }
    let mut payload = Vec::new();
    if io::stdin().is_terminal() {
        info!("reading the payload from standard input, which Ctrl-D ends");
    }
    io::stdin().lock().read_to_end(&mut payload)?;
    // What an editor or `echo` puts at the end is not part of it.
    while payload.last().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
        payload.pop();
    }
    if !payload.is_empty() {
        message.payload = Some(payload.into());
    }
    Ok(message)
}

fn binding(text: &str) -> BindingValue {
    match (text, text.parse::<i64>()) {
        ("true", _) => true.into(),
        ("false", _) => false.into(),
        (_, Ok(number)) => number.into(),
        _ => BindingValue::Text(ByteString::from(text)),
    }
}

/// The message that `raw` is, of those that are possible, and how it is written, beginning with `begun`.
fn choose(
    messages: &[MessageType],
    raw: &Message,
    begun: &Message,
    matches: &ArgMatches,
) -> Result<(MessageType, Message), Failure> {
    let wanted = matches.get_one::<String>("message");
    let possible: Vec<&MessageType> =
        messages.iter().filter(|message| wanted.is_none_or(|wanted| wanted == message.name)).collect();
    if let (Some(wanted), []) = (wanted, possible.as_slice()) {
        let known: Vec<&str> = messages.iter().map(|message| message.name).collect();
        let hint = command::hint(wanted, &known);
        return Err(Failure::Failed(format!("--message: there is no message `{wanted}` here{hint}")));
    }
    let mut problems = Vec::new();
    for message in possible {
        let mut made = begun.clone();
        match (message.remake)(raw, &mut made) {
            Ok(()) => return Ok((*message, made)),
            Err(rejection) => {
                problems.push(violations(&format!("the message is no `{}`", message.name), &rejection));
            }
        }
    }
    Err(Failure::Failed(problems.join("\n")))
}

/// Everything that is wrong, a line each.
fn violations(title: &str, rejection: &Rejection) -> String {
    let mut out = format!("{title}:");
    for violation in rejection.violations() {
        out.push_str("\n  ");
        out.push_str(&violation.to_string());
    }
    out
}

/// Sends one message, and leaves again.
async fn pass<A>(target: target::Target<A>, message: Message) -> Result<()> {
    let target::Target { server, url, protocol, values, .. } = target;
    let stop = Stop::new();
    let (tell, sender) = oneshot::channel();
    let app = Passing { servers: server.into_iter().collect(), tell: Mutex::new(Some(tell)) };
    let endpoint = Endpoint { url, values, stop: stop.clone(), passing: true };
    let mut serving = protocol.pass(app, endpoint);
    let ended = || Error::Broker("the server ended before the message was sent".into());
    let sent = tokio::select! {
        result = &mut serving => return result.and_then(|()| Err(ended())),
        sent = async {
            match sender.await {
                Ok(sender) => sender.send(message).await.map_err(|error| Error::Broker(Box::new(error))),
                // The server has more to say.
                Err(_) => std::future::pending().await,
            }
        } => sent,
    };
    stop.request();
    // Why the server ended says more than that it did.
    serving.await.and(sent)
}

/// An application that receives nothing, and gives its server's `send` away.
pub(super) struct Passing {
    servers: Vec<ServerInfo>,
    tell: Mutex<Option<oneshot::Sender<Arc<dyn MessageSend>>>>,
}

impl Application for Passing {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        let tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(tell), Some(sender)) = (tell, state.sender()) {
            // Who asked may have gone.
            let _ = tell.send(sender.clone());
        }
        Ok(())
    }

    async fn message(&self, _: &Context) -> Settlement {
        Settlement::Unsettled
    }
}
