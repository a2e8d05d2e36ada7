//! Log lines: what spans say to OpenTelemetry alone is left out of them.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput as _},
    fmt::{
        FormatFields,
        format::{DefaultVisitor, Writer},
    },
};

/// Fields as ever, without those called `otel.…`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Skip(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }

    fn add_fields(
        &self,
        current: &'w mut tracing_subscriber::fmt::FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let is_empty = current.fields.is_empty();
        let mut added = tracing_subscriber::fmt::FormattedFields::<Self>::new(String::new());
        self.format_fields(added.as_writer(), fields)?;
        if !added.fields.is_empty() {
            if !is_empty {
                current.fields.push(' ');
            }
            current.fields.push_str(&added.fields);
        }
        Ok(())
    }
}

struct Skip<'a>(DefaultVisitor<'a>);

fn is_ours(field: &Field) -> bool {
    field.name().starts_with("otel.")
}

impl Visit for Skip<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_ours(field) {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        if !is_ours(field) {
            self.0.record_error(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !is_ours(field) {
            self.0.record_debug(field, value);
        }
    }
}
