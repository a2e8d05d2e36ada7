//! Operations: handler traits, replies and sends.

use amgi_asyncapi::{
    diag::Diagnostic,
    model::{Channel, Docs, Id, Message, Operation, Reply},
};

use super::{
    Lowering,
    bindings::{binding_json, presets},
    wanted,
};
use crate::{
    codes, docs, ir,
    name::{Namer, pascal, snake},
};

impl Lowering<'_> {
    /// The handler trait of a channel, whose messages may be handled together; `None` when nothing is received from it.
    pub(super) fn handler(&mut self, id: Id<Channel>, batch: bool) -> Option<ir::Handler> {
        let doc = self.doc;
        let channel = &doc[id];
        let operations: Vec<&Operation> =
            doc.operations.iter().filter(|op| op.channel == id && self.receives(op)).collect();
        if operations.iter().all(|op| op.messages.is_empty()) {
            return None;
        }
        let name = self.type_name(
            &channel.extensions,
            "",
            &format!("{}Handler", channel.key),
            "Trait",
            channel.span,
        );
        let mut methods: Vec<ir::Method> = Vec::new();
        let mut names = Namer::members();
        for operation in operations.iter().filter(|op| op.reply.is_none()) {
            if batch {
                self.batch_method(operation, &mut methods, &mut names);
                continue;
            }
            for &message in &operation.messages {
                self.receive(operation, message, &mut methods, &mut names);
            }
        }
        for operation in &operations {
            if let Some(reply) = &operation.reply {
                if batch {
                    self.shaper.diagnostics.push(
                        Diagnostic::error(
                            codes::POLICY,
                            operation.span,
                            format!(
                                "operation `{}` has a reply, so its messages cannot be handled together",
                                operation.key
                            ),
                        )
                        .help("remove `x-amgi-batch`, or the reply"),
                    );
                }
                self.request(operation, reply, &mut methods, &mut names);
            }
        }
        let operations = operations
            .iter()
            .map(|operation| ir::Operation {
                key: operation.key.clone(),
                bindings: operation.bindings.iter().map(|b| binding_json(doc, b)).collect(),
                messages: operation.messages.iter().map(|&message| self.index(message)).collect(),
            })
            .collect();
        Some(ir::Handler { name, methods, operations })
    }

    fn receive(
        &mut self,
        operation: &Operation,
        message: Id<Message>,
        methods: &mut Vec<ir::Method>,
        names: &mut Namer,
    ) {
        let index = self.index(message);
        if let Some(method) = methods.iter_mut().find(|method| method.messages == [index]) {
            // The same message under another operation: one method that names them all.
            method.operations.push(operation.key.clone());
            method.docs.push(String::new());
            method.docs.extend(operation_docs(operation));
            return;
        }
        let type_name = self.messages[index].name.clone();
        let mut docs = operation_docs(operation);
        let own = docs::lines(&self.doc[message].docs, "");
        let new = |line: &String| !line.is_empty() && !docs.contains(line);
        if own.iter().any(new) {
            docs.push(String::new());
            docs.extend(own);
        }
        let message = snake(&type_name);
        // AsyncFast calls messages after their handlers: `OnOrderMessage`.
        let name = if message.starts_with("on_") { message } else { format!("on_{message}") };
        methods.push(ir::Method {
            name: names.member(&name).name,
            docs,
            operations: vec![operation.key.clone()],
            argument: "message".to_owned(),
            messages: vec![index],
            input: type_name,
            reply: None,
            batch: false,
        });
    }

    /// The method of an operation whose messages are handled together; like a request it is named by its operation.
    fn batch_method(&mut self, operation: &Operation, methods: &mut Vec<ir::Method>, names: &mut Namer) {
        let messages: Vec<usize> = operation.messages.iter().map(|&message| self.index(message)).collect();
        if messages.is_empty() {
            return;
        }
        if let Some(other) = methods.first() {
            self.shaper.diagnostics.push(
                Diagnostic::error(
                    codes::POLICY,
                    operation.span,
                    format!(
                        "operations `{}` and `{}` receive from one channel, whose messages are handled together",
                        other.operations[0], operation.key
                    ),
                )
                .help("make it one operation with the messages of both"),
            );
            return;
        }
        let input = self.union(&operation.key, "Message", &messages, operation);
        methods.push(ir::Method {
            name: names.member(&wanted(&operation.extensions, &operation.key)).name,
            docs: operation_docs(operation),
            operations: vec![operation.key.clone()],
            argument: "messages".to_owned(),
            messages,
            input,
            reply: None,
            batch: true,
        });
    }

    fn request(
        &mut self,
        operation: &Operation,
        reply: &Reply,
        methods: &mut Vec<ir::Method>,
        names: &mut Namer,
    ) {
        let requests: Vec<usize> = operation.messages.iter().map(|&message| self.index(message)).collect();
        if requests.is_empty() {
            return;
        }
        if let Some(other) =
            methods.iter().find(|method| method.messages.iter().any(|message| requests.contains(message)))
        {
            self.shaper.diagnostics.push(
                Diagnostic::error(
                    codes::REPLY_CONFLICT,
                    operation.span,
                    format!(
                        "operation `{}` replies to a message that {} handles too",
                        operation.key,
                        other.operations.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
                    ),
                )
                .help("a message on a channel can have one reply; give the operations different messages or channels"),
            );
            return;
        }
        let Some(reply) = self.reply(operation, reply) else { return };
        let input = self.union(&operation.key, "Request", &requests, operation);
        methods.push(ir::Method {
            name: names.member(&wanted(&operation.extensions, &operation.key)).name,
            docs: operation_docs(operation),
            operations: vec![operation.key.clone()],
            argument: "request".to_owned(),
            messages: requests,
            input,
            reply: Some(reply),
            batch: false,
        });
    }

    /// The reply of an operation; `None` when there can be none, and that is reported.
    fn reply(&mut self, operation: &Operation, reply: &Reply) -> Option<ir::Reply> {
        let doc = self.doc;
        let replies: Vec<usize> = reply.messages.iter().map(|&message| self.index(message)).collect();
        let channel = reply.channel.map(|id| &doc[id]);
        let mut address = channel.and_then(|channel| channel.address.clone());
        let location = reply.address.as_deref().and_then(|text| self.location(text, reply.span));
        if address.as_deref().is_some_and(|address| address.contains('{')) {
            // Which of the addresses it is, only the request can say.
            if location.is_none() {
                self.shaper.diagnostics.push(
                    Diagnostic::error(
                        codes::REPLY_ADDRESS,
                        reply.span,
                        "the reply channel has parameters, and nothing says their values",
                    )
                    .help("name the address with `reply.address.location`"),
                );
            }
            address = None;
        } else if location.is_none() && address.is_none() {
            // AsyncAPI leaves open where such a reply goes; the address of the request would be a loop.
            self.shaper.diagnostics.push(
                Diagnostic::error(codes::REPLY_ADDRESS, reply.span, "nothing says where the reply goes")
                    .help("give `reply.address.location`, or a reply channel with an address"),
            );
        }
        if replies.is_empty() {
            self.shaper.diagnostics.push(
                Diagnostic::error(codes::REPLY_EMPTY, reply.span, "the reply has no message")
                    .help("name a channel with messages, or `messages`, in the reply"),
            );
            return None;
        }
        let output = self.union(&operation.key, "Reply", &replies, operation);
        let bindings = presets(doc, channel.into_iter().flat_map(|channel| &channel.bindings));
        let own = channel.filter(|_| address.is_some());
        Some(ir::Reply {
            output,
            messages: replies,
            location,
            address,
            channel: own.map(|channel| channel.key.clone()),
            servers: own.map_or_else(Vec::new, |channel| {
                channel.servers.iter().map(|&id| doc[id].key.clone()).collect()
            }),
            channel_bindings: own.map_or_else(Vec::new, |channel| {
                channel.bindings.iter().map(|b| binding_json(doc, b)).collect()
            }),
            bindings,
        })
    }

    /// AsyncAPI 3.1, Runtime Expression.
    pub(super) fn location(&mut self, text: &str, span: amgi_asyncapi::diag::Span) -> Option<ir::Location> {
        if let Some(pointer) = text.strip_prefix("$message.header#/") {
            return Some(ir::Location::Header(pointer.replace("~1", "/").replace("~0", "~")));
        }
        if let Some(pointer) = text.strip_prefix("$message.payload#") {
            return Some(ir::Location::Payload(pointer.to_owned()));
        }
        self.shaper.diagnostics.push(
            Diagnostic::error(
                amgi_asyncapi::codes::RUNTIME_EXPRESSION,
                span,
                format!("`{text}` is no runtime expression"),
            )
            .help("write `$message.header#/NAME` or `$message.payload#/POINTER`"),
        );
        None
    }

    /// One message stands for itself; several become an enum.
    fn union(&mut self, operation: &str, kind: &str, messages: &[usize], from: &Operation) -> String {
        if let [only] = messages {
            return self.messages[*only].name.clone();
        }
        let name = self.names.type_name(&format!("{}{kind}", pascal(operation)), "Messages").name;
        let docs = vec![format!("{kind} of operation `{}`: one of its messages.", from.key)];
        let select = ir::Select::default();
        self.unions.push(ir::Union { name: name.clone(), docs, messages: messages.to_vec(), select });
        name
    }

    /// The typed method of a send operation.
    pub(super) fn send(
        &mut self,
        operation: &Operation,
        channel: usize,
        names: &mut Namer,
    ) -> Option<ir::Send> {
        let doc = self.doc;
        let messages: Vec<usize> = operation.messages.iter().map(|&message| self.index(message)).collect();
        if messages.is_empty() {
            self.shaper.diagnostics.push(Diagnostic::info(
                codes::OPERATION_EMPTY,
                operation.span,
                format!("operation `{}` has no messages, so nothing is generated for it", operation.key),
            ));
            return None;
        }
        let bindings = presets(doc, operation.bindings.iter().chain(&doc[operation.channel].bindings));
        let input = self.union(&operation.key, "Message", &messages, operation);
        let reply = operation.reply.as_ref().and_then(|reply| self.awaited(operation, reply));
        let timeout = operation.extensions.iter().find(|(name, _)| name == "x-amgi-timeout");
        let timeout = timeout.and_then(|(name, node)| self.duration(node, name));
        let wanted = wanted(&operation.extensions, &operation.key);
        let mut docs = operation_docs(operation);
        docs.push(String::new());
        docs.push(match &doc[operation.channel].address {
            Some(address) => format!("Goes to `{address}`."),
            None => "Goes to the address that is given.".to_owned(),
        });
        Some(ir::Send {
            name: names.member(&wanted).name,
            operation: operation.key.clone(),
            channel,
            docs,
            input,
            messages,
            bindings,
            reply,
            timeout,
        })
    }

    /// The reply of a request that we send; `None` when it cannot be awaited.
    fn awaited(&mut self, operation: &Operation, reply: &Reply) -> Option<ir::Reply> {
        let channel = reply.channel.map(|id| &self.doc[id]);
        let constant = channel
            .and_then(|channel| channel.address.as_deref())
            .is_some_and(|address| !address.contains('{'));
        let missing = if reply.messages.is_empty() {
            "the reply has no message"
        } else if !constant && reply.address.is_none() {
            "nothing says where the reply goes"
        } else {
            return self.reply(operation, reply);
        };
        self.shaper.diagnostics.push(
            Diagnostic::warning(
                codes::REPLY_NOT_AWAITED,
                reply.span,
                format!("the reply of operation `{}` cannot be awaited: {missing}", operation.key),
            )
            .help(
                "name a channel with an address and messages in the reply, or give `reply.address.location`",
            ),
        );
        None
    }
}

fn operation_docs(operation: &Operation) -> Vec<String> {
    let fallback = format!("Operation `{}`.", operation.key);
    let mut lines = docs::lines(&operation.docs, &fallback);
    if operation.docs != Docs::default() && lines != [fallback.clone()] {
        lines.push(String::new());
        lines.push(fallback);
    }
    if let Some(line) = docs::security(&operation.security) {
        lines.push(String::new());
        lines.push(line);
    }
    lines
}
