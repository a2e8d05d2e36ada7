//! Channels that operations of both versions use.

use amgi_asyncapi::model::{Channel, Id, Parameter, Reply};

use super::{Flow, Wire, moved, pattern};
use crate::diff::{Level, Subject, bindings, kinds};

/// A channel of each version, and which ways messages go through it.
struct Pair {
    old: Id<Channel>,
    new: Id<Channel>,
    flows: Vec<Flow>,
}

impl Wire<'_> {
    pub(super) fn channels(&mut self, operations: &[super::Pair<usize>]) {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut add = |old: Id<Channel>, new: Id<Channel>, flow: Flow| {
            let known = pairs.iter_mut().find(|pair| (pair.old, pair.new) == (old, new));
            match known {
                Some(pair) if pair.flows.contains(&flow) => {}
                Some(pair) => pair.flows.push(flow),
                None => pairs.push(Pair { old, new, flows: vec![flow] }),
            }
        };
        for (old, new) in operations {
            let (Some(old), Some(new)) = (old, new) else { continue };
            let (one, other) = (&self.old.document.operations[*old], &self.new.document.operations[*new]);
            let flow = Flow::of(other, self.new.settings.perspective);
            if flow != Flow::of(one, self.old.settings.perspective) {
                continue;
            }
            add(one.channel, other.channel, flow);
            let channel = |reply: &Option<Reply>| reply.as_ref().and_then(|reply| reply.channel);
            if let (Some(one), Some(other)) = (channel(&one.reply), channel(&other.reply)) {
                add(one, other, flow.back());
            }
        }
        for pair in pairs {
            self.channel(&pair);
        }
    }

    fn channel(&mut self, pair: &Pair) {
        let (old, new) = (&self.old.document[pair.old], &self.new.document[pair.new]);
        self.subject = Subject::Channel(new.key.clone());
        let spans = (Some(old.span), Some(new.span));
        match (&old.address, &new.address) {
            (Some(was), Some(is)) if pattern(was) == pattern(is) => {}
            (Some(was), Some(is)) => {
                let text = format!("the address is `{is}`, was `{was}`");
                self.say(kinds::ADDRESS_CHANGED, Level::Breaking, text, "address", spans);
            }
            (None, None) => {}
            (was, is) => {
                let text = moved("the address is", was.as_ref(), is.as_ref())
                    .replace("nowhere", "known only at run time");
                self.say(kinds::ADDRESS_CHANGED, Level::Warning, text, "address", spans);
            }
        }
        self.parameters(old, new, &pair.flows);
        self.channel_servers(old, new);
        let dead_letter = |channel: &Channel| {
            let found = channel.extensions.iter().find(|(name, _)| name == "x-amgi-dead-letter");
            found.and_then(|(_, node)| node.as_str()).map(str::to_owned)
        };
        let (was, is) = (dead_letter(old), dead_letter(new));
        if was != is && pair.flows.contains(&Flow::In) {
            let text = moved("messages that are given up go to", was.as_ref(), is.as_ref())
                .replace("nowhere", "`<address>.dlq`");
            self.say(kinds::DEAD_LETTER_CHANGED, Level::Warning, text, "x-amgi-dead-letter", spans);
        }
        let flow = if pair.flows.contains(&Flow::Out) { Flow::Out } else { Flow::In };
        bindings::compare(self, "channel", (&old.bindings, &new.bindings), flow, spans);
    }

    /// Parameters by their place in the address: their names do not travel.
    fn parameters(&mut self, old: &Channel, new: &Channel, flows: &[Flow]) {
        let (Some(was), Some(is)) = (&old.address, &new.address) else { return };
        if pattern(was) != pattern(is) {
            return;
        }
        for (old_name, new_name) in names(was).into_iter().zip(names(is)) {
            let find = |channel: &Channel, name: &str| {
                channel
                    .parameters
                    .iter()
                    .find(|parameter| parameter.name == name)
                    .cloned()
                    .unwrap_or_default()
            };
            let (one, other) = (find(old, old_name), find(new, new_name));
            let place = format!("parameter {new_name}");
            let known = |parameter: &Parameter| Some(parameter.span).filter(|span| span.line > 0);
            let spans = (known(&one).or(Some(old.span)), known(&other).or(Some(new.span)));
            let missing = |of: &Parameter, from: &Parameter| -> Vec<String> {
                match (of.values.is_empty(), from.values.is_empty()) {
                    (_, true) => Vec::new(),
                    (true, false) => vec!["others".to_owned()],
                    _ => of
                        .values
                        .iter()
                        .filter(|v| !from.values.contains(v))
                        .map(|v| format!("`{v}`"))
                        .collect(),
                }
            };
            let level =
                |breaks: Flow| if flows.contains(&breaks) { Level::Breaking } else { Level::Compatible };
            let (gone, come) = (missing(&one, &other), missing(&other, &one));
            if !gone.is_empty() {
                let text = format!("values that are no longer allowed: {}", gone.join(", "));
                self.say(kinds::PARAMETER_NARROWED, level(Flow::In), text, &place, spans);
            }
            if !come.is_empty() {
                let text = format!("values that are allowed now: {}", come.join(", "));
                self.say(kinds::PARAMETER_WIDENED, level(Flow::Out), text, &place, spans);
            }
            for (what, was, is) in
                [("default", &one.default, &other.default), ("location", &one.location, &other.location)]
            {
                if was != is {
                    let text = moved(&format!("its `{what}` is"), was.as_ref(), is.as_ref());
                    self.say(kinds::PARAMETER_CHANGED, Level::Warning, text, &place, spans);
                }
            }
        }
    }

    fn channel_servers(&mut self, old: &Channel, new: &Channel) {
        let (one, other) = (self.old.document, self.new.document);
        // None named means all.
        let was: Vec<&str> = match old.servers.as_slice() {
            [] => one.servers.iter().map(|server| server.key.as_str()).collect(),
            some => some.iter().map(|id| one[*id].key.as_str()).collect(),
        };
        let is: Vec<&str> = match new.servers.as_slice() {
            [] => other.servers.iter().map(|server| server.key.as_str()).collect(),
            some => some.iter().map(|id| other[*id].key.as_str()).collect(),
        };
        let spans = (Some(old.span), Some(new.span));
        // Servers that are gone altogether are said by themselves, and so are new ones.
        for key in was.iter().filter(|key| !is.contains(key) && other.servers.iter().any(|s| s.key == **key))
        {
            let text = format!("it is no longer on the server `{key}`");
            self.say(kinds::CHANNEL_SERVERS_CHANGED, Level::Breaking, text, "servers", spans);
        }
        for key in is.iter().filter(|key| !was.contains(key) && one.servers.iter().any(|s| s.key == **key)) {
            let text = format!("it is on the server `{key}`, too");
            self.say(kinds::CHANNEL_SERVERS_CHANGED, Level::Compatible, text, "servers", spans);
        }
    }
}

/// Names of the parameters in an address.
fn names(address: &str) -> Vec<&str> {
    address.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).collect()
}
