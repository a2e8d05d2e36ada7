//! Payloads that are held to their schema itself, by a validator: for what types and rules do not say.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use super::{check::shown, format};
use crate::{
    contract::Message,
    error::{Part, Rejection, Violation},
};

/// A schema, compiled when it is first needed.
#[derive(Debug)]
pub struct Schema {
    text: &'static str,
    validator: OnceLock<Result<Validator, String>>,
}

impl Schema {
    /// A schema with everything that it refers to.
    pub const fn new(text: &'static str) -> Self {
        Self { text, validator: OnceLock::new() }
    }

    /// Whether the payload of a message is a value of the schema.
    pub fn check(&self, message: &Message) -> Result<(), Rejection> {
        let validator = self.validator.get_or_init(|| compile(self.text));
        let validator = validator.as_ref().map_err(|error| {
            Rejection::new(Part::Payload, "", "", "a schema that can be read").found(error.clone())
        })?;
        let payload = message.payload.as_deref().unwrap_or_default();
        let value: Value = serde_json::from_slice(payload)
            .map_err(|error| Rejection::new(Part::Payload, "", "", "JSON").found(error.to_string()))?;
        if validator.is_valid(&value) {
            return Ok(());
        }
        Err(self.violations(validator, &value))
    }

    #[cold]
    fn violations(&self, validator: &Validator, value: &Value) -> Rejection {
        // Which of its values are secret nobody says of an error; where there are such, none is shown.
        let secret = [r#""x-sensitive":true"#, r#""format":"password""#];
        let secret = secret.iter().any(|keyword| self.text.contains(keyword));
        let violation = |error: jsonschema::ValidationError<'_>| {
            let path = error.schema_path().to_string();
            let keyword = path.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap_or_default();
            Violation {
                part: Part::Payload,
                pointer: error.instance_path().to_string(),
                keyword: keyword.to_owned().into(),
                expected: format!("what `{keyword}` asks for: {}", error.masked()).into(),
                found: (!secret).then(|| shown(&error.instance().to_string())),
            }
        };
        validator.iter_errors(value).take(Rejection::MOST).map(violation).collect::<Vec<_>>().into()
    }
}

fn compile(text: &str) -> Result<Validator, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // A format that is not to be checked is not in the text.
    let options =
        format::NAMES.iter().fold(jsonschema::options().should_validate_formats(true), |options, name| {
            options.with_format(*name, |text: &str| format::has_format(text, name))
        });
    options.build(&schema).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCHEMA: Schema = Schema::new(
        r##"{"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "#/definitions/1"}],
            "definitions": {"1": {"properties": {"a/b": {"not": {"type": "string"}}}}}}"##,
    );

    fn check(payload: &'static str) -> Result<(), Rejection> {
        SCHEMA.check(&Message::new("x").payload(payload.as_bytes()))
    }

    #[test]
    fn a_violation_has_its_pointer_and_keyword() {
        assert_eq!(check(r#"{"a/b": 1}"#), Ok(()));
        let rejection = check(r#"{"a/b": "text"}"#).unwrap_err();
        assert_eq!(rejection.pointer(), "/a~1b");
        assert_eq!(rejection.violations()[0].keyword, "not");
        assert_eq!(rejection.violations()[0].found.as_deref(), Some("\"text\""));
        assert!(check("{").unwrap_err().to_string().contains("EOF"));
    }

    #[test]
    fn a_schema_that_is_none_refuses_everything() {
        static BROKEN: Schema = Schema::new(r#"{"type": "thing"}"#);
        let rejection = BROKEN.check(&Message::new("x").payload("1")).unwrap_err();
        assert!(rejection.to_string().contains("a schema that can be read"), "{rejection}");
    }
}
