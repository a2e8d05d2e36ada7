//! How messages are settled: `x-amgi-*` of a receive operation, else of its channel.
//!
//! A server settles before it knows which of several operations of a channel a message belongs to, so they share what they
//! say.

use amgi_asyncapi::{
    diag::{Diagnostic, Span},
    model::{Channel, Id, Operation},
    node::{Entry, Node, Value},
};

use super::Lowering;
use crate::{codes, ir};

/// A batch without a size, and how long it waits without a time.
const BATCH: ir::Batch = ir::Batch { size: 64, wait: 0 };

/// How long a key is remembered without a time: a day, in milliseconds.
const REMEMBER: u64 = 24 * 3600 * 1000;

const UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

impl Lowering<'_> {
    /// What the document says of how messages of a channel are settled.
    pub(super) fn policy(&mut self, id: Id<Channel>) -> ir::Policy {
        let doc = self.doc;
        let operations: Vec<&Operation> =
            doc.operations.iter().filter(|op| op.channel == id && self.receives(op)).collect();
        let mut of_channel = ir::Policy::default();
        self.read_policy(&doc[id].extensions, &mut of_channel);
        let mut policies = Vec::new();
        for operation in &operations {
            let mut policy = of_channel.clone();
            self.read_policy(&operation.extensions, &mut policy);
            policies.push(policy);
        }
        for (operation, policy) in operations.iter().zip(&policies).skip(1) {
            if *policy != policies[0] {
                self.shaper.diagnostics.push(
                    Diagnostic::error(
                        codes::POLICY,
                        operation.span,
                        format!(
                            "operation `{}` receives from the same channel as `{}`, but its messages are to be settled otherwise",
                            operation.key, operations[0].key
                        ),
                    )
                    .help("say the same of both, or say it once, of the channel"),
                );
            }
        }
        policies.into_iter().next().unwrap_or(of_channel)
    }

    fn read_policy(&mut self, extensions: &[(String, Node)], policy: &mut ir::Policy) {
        for (name, node) in extensions {
            match name.as_str() {
                "x-amgi-dead-letter" => match node.as_str() {
                    Some(address) if !address.is_empty() => policy.dead_letter = Some(address.to_owned()),
                    _ => self.policy_fault(node.span, name, "an address"),
                },
                "x-amgi-timeout" => policy.timeout = self.duration(node, name),
                "x-amgi-retry" => policy.retry = self.retry(node),
                "x-amgi-idempotency" => policy.idempotency = self.idempotency(node),
                "x-amgi-circuit-breaker" => policy.breaker = self.breaker(node),
                "x-amgi-batch" => policy.batch = self.batch(node),
                _ => {}
            }
        }
    }

    fn retry(&mut self, node: &Node) -> Option<ir::Retry> {
        let mut retry = ir::Retry::default();
        self.members(node, "x-amgi-retry", &["attempts", "first", "most", "jitter", "then"], |this, entry| {
            let at = format!("`{}` of x-amgi-retry", entry.key);
            match entry.key.as_str() {
                "attempts" => retry.attempts = this.count(&entry.value, &at),
                "first" => retry.first = this.duration(&entry.value, &at),
                "most" => retry.most = this.duration(&entry.value, &at),
                "jitter" => match entry.value.value {
                    Value::Bool(jitter) => retry.jitter = Some(jitter),
                    _ => this.policy_fault(entry.value.span, &at, "true or false"),
                },
                _ => match entry.value.as_str() {
                    Some("dead-letter") => retry.then_dead_letter = Some(true),
                    Some("nack") => retry.then_dead_letter = Some(false),
                    _ => this.policy_fault(entry.value.span, &at, "`dead-letter` or `nack`"),
                },
            }
        })
        .then_some(retry)
    }

    fn idempotency(&mut self, node: &Node) -> Option<ir::Idempotency> {
        let (mut key, mut remember) = (None, Some(REMEMBER));
        self.members(node, "x-amgi-idempotency", &["key", "remember"], |this, entry| {
            let at = format!("`{}` of x-amgi-idempotency", entry.key);
            match entry.key.as_str() {
                "key" => match entry.value.as_str() {
                    Some(text) => key = this.location(text, entry.value.span),
                    None => this.policy_fault(entry.value.span, &at, "a runtime expression"),
                },
                _ => remember = this.duration(&entry.value, &at),
            }
        });
        if node.get("key").is_none() {
            self.policy_fault(node.span, "x-amgi-idempotency", "an object with a `key`");
        }
        Some(ir::Idempotency { key: key?, remember: remember? })
    }

    fn breaker(&mut self, node: &Node) -> Option<ir::Breaker> {
        let (mut failures, mut pause) = (Some(5), Some(30_000));
        self.members(node, "x-amgi-circuit-breaker", &["failures", "pause"], |this, entry| {
            let at = format!("`{}` of x-amgi-circuit-breaker", entry.key);
            if entry.key == "failures" {
                failures = this.count(&entry.value, &at);
            } else {
                pause = this.duration(&entry.value, &at);
            }
        });
        Some(ir::Breaker { failures: failures?, pause: pause? })
    }

    fn batch(&mut self, node: &Node) -> Option<ir::Batch> {
        match node.value {
            Value::Bool(batch) => return batch.then_some(BATCH),
            Value::Object(_) => {}
            _ => {
                self.policy_fault(node.span, "x-amgi-batch", "true, or an object with `size` and `wait`");
                return None;
            }
        }
        let (mut size, mut wait) = (u32::try_from(BATCH.size).ok(), Some(BATCH.wait));
        self.members(node, "x-amgi-batch", &["size", "wait"], |this, entry| {
            let at = format!("`{}` of x-amgi-batch", entry.key);
            if entry.key == "size" {
                size = this.count(&entry.value, &at);
            } else {
                wait = this.duration(&entry.value, &at);
            }
        });
        Some(ir::Batch { size: usize::try_from(size?).ok()?, wait: wait? })
    }

    /// Calls `read` for every member of an object; false when it is none.
    fn members(
        &mut self,
        node: &Node,
        name: &str,
        known: &[&str],
        mut read: impl FnMut(&mut Self, &Entry),
    ) -> bool {
        if !matches!(node.value, Value::Object(_)) {
            self.policy_fault(node.span, name, &format!("an object with {}", known.join(", ")));
            return false;
        }
        for entry in node.entries() {
            if known.contains(&entry.key.as_str()) {
                read(self, entry);
            } else {
                let message = format!("{name} has no `{}`", entry.key);
                self.shaper.diagnostics.push(
                    Diagnostic::error(codes::POLICY, entry.key_span, message)
                        .help(format!("it has {}", known.join(", "))),
                );
            }
        }
        true
    }

    fn count(&mut self, node: &Node, at: &str) -> Option<u32> {
        let count = match &node.value {
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
            _ => None,
        };
        if count.is_none() {
            self.policy_fault(node.span, at, "an integer from 1");
        }
        count
    }

    /// Milliseconds of a text such as `250ms`, `30s`, `5m`, `1h`, `7d`, or of a number of seconds.
    pub(super) fn duration(&mut self, node: &Node, at: &str) -> Option<u64> {
        let duration = match &node.value {
            Value::Number(seconds) => seconds.as_u64().and_then(|seconds| seconds.checked_mul(1000)),
            Value::String(text) => {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                let (number, unit) = text.split_at(digits);
                let unit = UNITS.iter().find(|(known, _)| *known == unit.trim()).map(|(_, factor)| factor);
                number.parse::<u64>().ok().zip(unit).and_then(|(number, factor)| number.checked_mul(*factor))
            }
            _ => None,
        };
        if duration.is_none() {
            self.policy_fault(node.span, at, "a duration such as `250ms`, `30s`, `5m`, `1h`, `7d`");
        }
        duration
    }

    fn policy_fault(&mut self, span: Span, what: &str, expected: &str) {
        let message = format!("{what} must be {expected}");
        self.shaper.diagnostics.push(Diagnostic::error(codes::POLICY, span, message));
    }
}
