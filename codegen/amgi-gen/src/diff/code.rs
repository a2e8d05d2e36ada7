//! In code: what stops compiling in the crate of a user.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Change, Kind, Level, Subject, Version, kinds,
    pairs::{Pair, paired},
    surface::{Form, Item, Member, surface},
    wire,
};

pub(super) fn compare(old: Version<'_>, new: Version<'_>) -> Vec<Change> {
    let (was, is) = (surface(old.api), surface(new.api));
    let mut code = Code { old, new, changes: Vec::new(), renamed: BTreeMap::new() };
    let pairs = code.pairs(&was, &is);
    for (one, other) in &pairs {
        match (*one, *other) {
            (Some(one), Some(other)) => code.both(one, other, &was, &is),
            (Some(one), None) => code.gone(one),
            (None, Some(other)) => code.come(other, &is),
            (None, None) => {}
        }
    }
    code.changes
}

struct Code<'a> {
    old: Version<'a>,
    new: Version<'a>,
    changes: Vec<Change>,
    /// New paths of what is called otherwise.
    renamed: BTreeMap<String, String>,
}

impl Code<'_> {
    /// Items that are the same: of one path, else of one origin, else of one shape that no other has.
    fn pairs<'i>(&mut self, was: &'i [Item], is: &'i [Item]) -> Vec<Pair<&'i Item>> {
        let like = |a: &Item, b: &Item| !a.members.is_empty() && a.form == b.form && a.members == b.members;
        let alone = |items: &[Item], item: &Item| items.iter().filter(|other| like(other, item)).count() == 1;
        let (old, new): (Vec<&Item>, Vec<&Item>) = (was.iter().collect(), is.iter().collect());
        let pairs = paired(
            &old,
            &new,
            &[&|a, b| a.path == b.path, &|a, b| !a.origin.is_empty() && a.origin == b.origin, &|a, b| {
                b.path.starts_with("types::") && like(a, b) && alone(was, a) && alone(is, b)
            }],
        );
        for (one, other) in &pairs {
            if let (Some(one), Some(other)) = (one, other)
                && one.path != other.path
            {
                self.renamed.insert(one.path.clone(), other.path.clone());
            }
        }
        pairs
    }

    fn gone(&mut self, item: &Item) {
        let (kind, text) = match item.form {
            Form::Handler => {
                (kinds::HANDLER_REMOVED, "the trait is gone: its implementations do not compile")
            }
            Form::Sender => (kinds::TYPE_REMOVED, "nothing is sent any more, so it is gone"),
            _ => (kinds::TYPE_REMOVED, "it is gone"),
        };
        let subject = subject(self.old, &item.operations);
        self.say(kind, Level::Breaking, subject, text, &item.path);
    }

    fn come(&mut self, item: &Item, is: &[Item]) {
        let subject = subject(self.new, &item.operations);
        if item.form == Form::Handler {
            let names: Vec<String> = item.members.iter().map(|method| format!("`{}`", method.name)).collect();
            let text = format!("`app` asks for this trait, with {}", names.join(", "));
            self.say(kinds::HANDLER_ADDED, Level::Breaking, subject, text, &item.path);
            if let Some(change) =
                self.changes.last_mut().filter(|_| is.iter().any(|other| other.path == "Handlers"))
            {
                change.hint = Some("implement it; where `Handlers` is used, it has a field more");
            }
            return;
        }
        if item.form == Form::Sender {
            for method in &item.members {
                let subject = self::subject(self.new, &method.operations);
                let path = format!("{}::{}", item.path, method.name);
                self.say(kinds::SEND_ADDED, Level::Compatible, subject, "the method is new", &path);
            }
            return;
        }
        self.say(kinds::TYPE_ADDED, Level::Compatible, subject, "it is new", &item.path);
    }

    fn both(&mut self, one: &Item, other: &Item, was: &[Item], is: &[Item]) {
        let own = subject(self.new, &other.operations);
        if one.path != other.path {
            let text = format!("it is called `{}`, was `{}`", self.path(&other.path), self.path(&one.path));
            self.say(kinds::RENAMED, Level::Breaking, own.clone(), text, &other.path);
        }
        if one.form != other.form {
            let name = |item: &Item| match item.form {
                Form::Struct => "a struct",
                Form::Enum => "an enum",
                Form::Handler => "a trait",
                Form::Wrapper => "another name for a type, or a wrapper",
                _ => "something else",
            };
            let text = format!("it is {}, was {}", name(other), name(one));
            self.say(kinds::KIND_CHANGED, Level::Breaking, own, text, &other.path);
            return;
        }
        self.derives(one, other, &own);
        // A trait that comes or goes says so itself.
        let known = |items: &[Item], member: &Member| {
            other.path != "Handlers"
                || items.iter().any(|item| item.form == Form::Handler && item.path == member.text)
        };
        for (before, after) in members(&one.members, &other.members) {
            match (before, after) {
                (Some(before), Some(after)) => self.member(one.form, other, (before, after), is),
                (Some(before), None) if known(is, before) => {
                    let subject = if before.operations.is_empty() {
                        own.clone()
                    } else {
                        subject(self.old, &before.operations)
                    };
                    let (kind, text) = match other.form {
                        Form::Handler => {
                            (kinds::METHOD_REMOVED, "the method is gone: implementations must drop it")
                        }
                        Form::Sender | Form::Builder => (kinds::METHOD_REMOVED, "the method is gone"),
                        Form::Enum => (kinds::VARIANT_REMOVED, "the variant is gone"),
                        _ => (kinds::FIELD_REMOVED, "the field is gone"),
                    };
                    self.say(
                        kind,
                        Level::Breaking,
                        subject,
                        text,
                        &format!("{}::{}", other.path, before.name),
                    );
                }
                (None, Some(after)) if known(was, after) => self.new_member(other, after, &own),
                _ => {}
            }
        }
    }

    fn new_member(&mut self, item: &Item, member: &Member, own: &Subject) {
        let subject =
            if member.operations.is_empty() { own.clone() } else { subject(self.new, &member.operations) };
        let path = format!("{}::{}", item.path, member.name);
        let (kind, level, text) = match item.form {
            Form::Handler => {
                let text = format!("every implementor must add `{}{}`", member.name, member.text);
                (kinds::METHOD_ADDED, Level::Breaking, text)
            }
            Form::Sender => (kinds::SEND_ADDED, Level::Compatible, "the method is new".to_owned()),
            // It comes with its field.
            Form::Builder => return,
            Form::Enum => {
                let text = "the variant is new: a `match` without it does not compile";
                (kinds::VARIANT_ADDED, Level::Breaking, text.to_owned())
            }
            _ => {
                let text = format!(
                    "the field is new, of type `{}`: literals without it do not compile",
                    member.text
                );
                (kinds::FIELD_ADDED, Level::Breaking, text)
            }
        };
        self.say(kind, level, subject, text, &path);
        if kind == kinds::FIELD_ADDED
            && item.derives.iter().any(|derive| derive == "Default")
            && let Some(change) = self.changes.last_mut()
        {
            change.hint = Some("literals that end in `..Default::default()` go on compiling");
        }
    }

    /// A field, variant or method of both.
    fn member(&mut self, form: Form, item: &Item, (one, other): (&Member, &Member), is: &[Item]) {
        let subject = if other.operations.is_empty() {
            subject(self.new, &item.operations)
        } else {
            subject(self.new, &other.operations)
        };
        let path = match form {
            Form::Function => item.path.clone(),
            _ => format!("{}::{}", item.path, other.name),
        };
        if one.name != other.name {
            let text = format!("it is called `{}`, was `{}`", other.name, one.name);
            self.say(kinds::RENAMED, Level::Breaking, subject.clone(), text, &path);
        }
        let was = self.seen(&one.text);
        if was == other.text {
            return;
        }
        if form == Form::Builder {
            // It takes what its field takes, and says no more than that.
            let owner = is
                .iter()
                .find(|owner| item.origin == format!("builder of {}", owner.path.replace("types::", "")));
            let field = owner.and_then(|owner| owner.members.iter().find(|field| field.name == other.name));
            let told = self.changes.iter().any(|change| {
                change.kind == kinds::FIELD_TYPE_CHANGED
                    && owner.zip(field).is_some_and(|(owner, field)| {
                        change.place == self.path(&format!("{}::{}", owner.path, field.name))
                    })
            });
            if told {
                return;
            }
        }
        let (kind, text) = match form {
            Form::Handler | Form::Sender | Form::Function | Form::Builder => {
                (kinds::METHOD_CHANGED, format!("it is `{}`, was `{}`", other.text, one.text))
            }
            Form::Enum => {
                (kinds::VARIANT_TYPE_CHANGED, format!("it holds `{}`, was `{}`", other.text, one.text))
            }
            Form::Struct | Form::Wrapper => {
                (kinds::FIELD_TYPE_CHANGED, format!("the type is `{}`, was `{}`", other.text, one.text))
            }
        };
        self.say(kind, Level::Breaking, subject, text, &path);
    }

    fn derives(&mut self, one: &Item, other: &Item, subject: &Subject) {
        for derive in one.derives.iter().filter(|derive| !other.derives.contains(derive)) {
            let text = format!("it is no longer `{derive}`");
            self.say(kinds::DERIVE_REMOVED, Level::Breaking, subject.clone(), text, &other.path);
        }
        for derive in other.derives.iter().filter(|derive| !one.derives.contains(derive)) {
            let text = format!("it is `{derive}`, too");
            self.say(kinds::DERIVE_ADDED, Level::Compatible, subject.clone(), text, &other.path);
        }
    }

    /// A text of the old version with the names of the new one.
    fn seen(&self, text: &str) -> String {
        let mut out = String::new();
        let mut word = String::new();
        for c in text.chars().chain(std::iter::once(' ')) {
            if c.is_alphanumeric() || c == '_' || c == ':' {
                word.push(c);
                continue;
            }
            // `message: X` ends a name with a colon.
            let name = word.trim_end_matches(':');
            out.push_str(self.renamed.get(name).map_or(name, String::as_str));
            out.push_str(&word[name.len()..]);
            word.clear();
            out.push(c);
        }
        out.pop();
        out
    }

    fn path(&self, path: &str) -> String {
        format!("{}::{path}", self.new.api.name)
    }

    fn say(&mut self, kind: Kind, level: Level, subject: Subject, message: impl Into<String>, path: &str) {
        let place = self.path(path);
        let message = message.into();
        self.changes.push(Change { kind, level, subject, message, place, hint: None, old: None, new: None });
    }
}

/// Members of both that are the same: of one name, else of one origin.
fn members<'m>(was: &'m [Member], is: &'m [Member]) -> Vec<Pair<&'m Member>> {
    let (old, new): (Vec<&Member>, Vec<&Member>) = (was.iter().collect(), is.iter().collect());
    paired(&old, &new, &[&|a, b| a.name == b.name, &|a, b| !a.origin.is_empty() && a.origin == b.origin])
}

/// The operation that an item is for, where it is for one alone.
fn subject(version: Version<'_>, operations: &BTreeSet<String>) -> Subject {
    let mut all = operations.iter();
    let (Some(key), None) = (all.next(), all.next()) else { return Subject::Document };
    let found = version.document.operations.iter().position(|operation| operation.key == *key);
    found.map_or(Subject::Document, |index| wire::subject(version, index))
}
