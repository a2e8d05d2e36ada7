//! Operations and replies.

use std::collections::HashSet;

use crate::{
    codes,
    diag::{Diagnostic, Span},
    model::{Action, Channel, Id, Message, Operation, Reply},
    node::Node,
    reader::{Reader, extensions, is_object, known, text},
    refs::{Place, Target, reference},
};

impl<'a> Reader<'a, '_> {
    /// Reads one operation. Without an action or a channel it cannot be in the model; validation reports both.
    pub(super) fn operation(&mut self, key: &str, target: &Target<'a>, span: Span) {
        let node = target.node;
        let action = match node.get("action").and_then(Node::as_str) {
            Some("send") => Some(Action::Send),
            Some("receive") => Some(Action::Receive),
            _ => None,
        };
        let channel = self.channel_of(node);
        let reply = self.member(target, "reply").and_then(|reply| self.reply(&reply));
        let Some(channel) = channel else { return };
        let messages = self.messages_of(node, Some(channel));
        let Some(action) = action else { return };
        let operation = Operation {
            key: key.to_string(),
            action,
            channel,
            messages,
            reply,
            docs: self.docs(target),
            security: self.security(target),
            bindings: self.bindings(target),
            extensions: extensions(node),
            span,
        };
        self.document.operations.push(operation);
    }

    fn reply(&mut self, target: &Target<'a>) -> Option<Reply> {
        if !is_object(target.node) {
            return None;
        }
        let channel = self.channel_of(target.node);
        let messages = self.messages_of(target.node, channel);
        let address = self.member(target, "address").and_then(|a| text(a.node, "location"));
        Some(Reply { address, channel, messages, span: target.node.span })
    }

    /// The channel that `node` refers to; one that only a component describes is added to the model.
    fn channel_of(&mut self, node: &'a Node) -> Option<Id<Channel>> {
        let text = reference(node.get("channel")?)?;
        let target = self.resolve(text, "channels")?;
        if let Some(id) = known(&self.channels, &target) {
            return Some(id);
        }
        let key = target.chain.first()?.last().unwrap_or_default().to_string();
        let span = target.key_span;
        Some(self.channel(&key, target, span))
    }

    fn messages_of(&mut self, node: &'a Node, channel: Option<Id<Channel>>) -> Vec<Id<Message>> {
        let Some(list) = node.get("messages") else {
            let all = channel.map_or(&[][..], |c| &self.document[c].messages).iter().map(|(_, id)| *id);
            let mut seen = HashSet::new();
            return all.filter(|id| seen.insert(*id)).collect();
        };
        let mut messages = Vec::new();
        let mut seen = HashSet::new();
        for text in list.items().iter().filter_map(reference) {
            let Some(target) = self.resolve(text, "messages") else { continue };
            let id = match channel {
                Some(channel) => self.message_in(channel, text, &target),
                // A reply without a channel: its messages are where they are.
                None => Some(self.message(target, None)),
            };
            messages.extend(id.filter(|id| seen.insert(*id)));
        }
        messages
    }

    /// The message at `target`, when the channel has it.
    fn message_in(&mut self, channel: Id<Channel>, text: &Node, target: &Target<'a>) -> Option<Id<Message>> {
        let reference = text.as_str().unwrap_or_default();
        let channel = &self.document[channel];
        let id = self.messages.get(&target.place).copied();
        let Some((key, id)) = channel.messages.iter().find(|(_, m)| Some(*m) == id) else {
            let message = format!("`{reference}` is not a message of channel `{}`", channel.key);
            let diagnostic = Diagnostic::error(codes::OPERATION_MESSAGE, text.span, message)
                .label(channel.span, "the operation's channel")
                .help("add it to the channel's `messages`, or name one that is there");
            self.diags.push(diagnostic);
            return None;
        };
        let direct = target
            .chain
            .first()
            .is_some_and(|p| p.tokens.starts_with(&["components".into(), "messages".into()]));
        if direct {
            let message = format!("`{reference}` should go through the channel");
            let place = Place::root().child("channels").child(&channel.key).child("messages").child(key);
            self.diags.push(
                Diagnostic::warning(codes::OPERATION_MESSAGE_REF, text.span, message)
                    .help(format!("write `{}`", place.pointer())),
            );
        }
        Some(*id)
    }
}
