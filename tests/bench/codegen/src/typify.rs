//! The types that typify makes of a schema, on its own.

use schemars::schema::{InstanceType, RootSchema, SchemaObject};
use typify::{TypeSpace, TypeSpaceImpl, TypeSpaceSettings};

/// Their code. Texts with a format are texts: typify would take types of other crates for some.
///
/// # Errors
/// When typify cannot take the schema.
#[allow(unreachable_pub)] // the build script has it as a module of its own
pub fn typify(schema: &str) -> Result<String, String> {
    let schema: RootSchema = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let mut settings = TypeSpaceSettings::default();
    for format in ["date-time", "uuid"] {
        let text = SchemaObject {
            instance_type: Some(InstanceType::String.into()),
            format: Some(format.to_owned()),
            ..SchemaObject::default()
        };
        settings.with_conversion(text, "::std::string::String", std::iter::empty::<TypeSpaceImpl>());
    }
    let mut types = TypeSpace::new(&settings);
    types.add_root_schema(schema).map_err(|error| error.to_string())?;
    Ok(types.to_stream().to_string())
}
