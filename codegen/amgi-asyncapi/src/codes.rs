//! Every kind of problem with a document. The comment above each is its summary, and
//! `codes/ID.md` its explanation, which `amgi-gen explain ID` prints.

use crate::diag::Code;

crate::codes! {
    /// There is no file under this path.
    FILE_NOT_FOUND = "AG0101", "file-not-found";
    /// The file is there, but cannot be read as a document: it is a directory, or access is denied.
    FILE_UNREADABLE = "AG0102", "file-unreadable";
    /// The file is larger than any document that is read.
    FILE_TOO_LARGE = "AG0103", "file-too-large";
    /// The file is not UTF-8 text from this byte on.
    FILE_NOT_UTF8 = "AG0104", "file-not-utf8";
    /// The file holds no document.
    DOCUMENT_EMPTY = "AG0105", "document-empty";
    /// The text is not YAML or JSON from here on.
    YAML_SYNTAX = "AG0106", "yaml-syntax";
    /// The text nests deeper, or grows larger by aliases, than any document needs.
    YAML_LIMIT = "AG0107", "yaml-limit";
    /// An alias `*name` has no anchor `&name` above it, or stands inside what it names.
    YAML_ALIAS = "AG0108", "yaml-alias";
    /// A key of a mapping is not a text, number or boolean.
    YAML_KEY = "AG0109", "yaml-key";
    /// A merge key `<<` brings something that is not a mapping.
    YAML_MERGE = "AG0110", "yaml-merge";
    /// A tag `!name` asks for a type that documents do not have, or that the value does not fit.
    YAML_TAG = "AG0111", "yaml-tag";
    /// A key stands twice in one mapping.
    DUPLICATE_KEY = "AG0112", "duplicate-key";
    /// A number is larger than what can be told apart.
    NUMBER_RANGE = "AG0113", "number-range";
    /// The document is not AsyncAPI 2 or 3.
    VERSION_UNSUPPORTED = "AG0201", "version-unsupported";
    /// The document is written for a minor version that is not known yet.
    VERSION_NEWER = "AG0202", "version-newer";
    /// The document is written for a pre-release of AsyncAPI.
    VERSION_PRERELEASE = "AG0203", "version-prerelease";
    /// The specification requires a field that is missing.
    MISSING_FIELD = "AG0204", "missing-field";
    /// The specification knows no such field.
    UNKNOWN_FIELD = "AG0205", "unknown-field";
    /// The specification lists the values of this field; this is none of them.
    UNKNOWN_VALUE = "AG0206", "unknown-value";
    /// A value is of another kind than the specification asks for.
    TYPE_MISMATCH = "AG0207", "type-mismatch";
    /// The name of a component has characters that the specification does not allow.
    COMPONENT_KEY = "AG0208", "component-key";
    /// Two objects share an id that must be unique.
    DUPLICATE_ID = "AG0209", "duplicate-id";
    /// A text does not have the form that the specification asks for.
    FORMAT_MISMATCH = "AG0210", "format-mismatch";
    /// A list that holds each value once has one twice.
    DUPLICATE_ITEM = "AG0211", "duplicate-item";
    /// The name of an extension has characters that the specification does not allow.
    EXTENSION_NAME = "AG0212", "extension-name";
    /// A reference names nothing.
    REF_NOT_FOUND = "AG0301", "ref-not-found";
    /// A reference leads back to itself.
    REF_CYCLE = "AG0302", "ref-cycle";
    /// A reference leads out of this document to where nothing can be read.
    REF_EXTERNAL = "AG0303", "ref-external";
    /// A reference leads to an object of another kind than what may stand here.
    REF_TARGET = "AG0304", "ref-target";
    /// References were followed too often.
    REF_LIMIT = "AG0305", "ref-limit";
    /// A reference stands where the specification knows none.
    REF_MAP = "AG0306", "ref-map";
    /// Members beside `$ref` are ignored.
    REF_SIBLINGS = "AG0307", "ref-siblings";
    /// A reference counts from the schema it stands in instead of from the document.
    REF_RELATIVE = "AG0308", "ref-relative";
    /// A reference leads into `operations`.
    REF_OPERATION = "AG0309", "ref-operation";
    /// A reference leads into the network, where nothing is read by default.
    REF_REMOTE = "AG0310", "ref-remote";
    /// What a reference into the network names cannot be fetched.
    REF_UNREACHABLE = "AG0311", "ref-unreachable";
    /// The lock file of a document is damaged.
    LOCK_INVALID = "AG0312", "lock-invalid";
    /// The braces of an address do not pair up.
    ADDRESS_BRACES = "AG0401", "address-braces";
    /// A parameter is declared, and its address does not have it.
    PARAMETER_UNUSED = "AG0402", "parameter-unused";
    /// An address has a parameter that is not declared.
    PARAMETER_UNDEFINED = "AG0403", "parameter-undefined";
    /// The address of a server has a variable that is not declared.
    VARIABLE_UNDEFINED = "AG0404", "variable-undefined";
    /// A default is none of the values that are allowed.
    DEFAULT_NOT_ALLOWED = "AG0405", "default-not-allowed";
    /// A channel names a server that the document does not have.
    CHANNEL_SERVER = "AG0406", "channel-server";
    /// The address of a channel is no URI template.
    ADDRESS_FORM = "AG0407", "address-form";
    /// An address has a query or a fragment.
    ADDRESS_QUERY = "AG0408", "address-query";
    /// A server declares a variable that its address does not have.
    VARIABLE_UNUSED = "AG0409", "variable-unused";
    /// A runtime expression cannot be read.
    RUNTIME_EXPRESSION = "AG0501", "runtime-expression";
    /// An operation names a message that its channel does not have.
    OPERATION_MESSAGE = "AG0502", "operation-message";
    /// An operation names a message otherwise than through its channel.
    OPERATION_MESSAGE_REF = "AG0503", "operation-message-ref";
    /// An operation of the root names a channel otherwise than through the `channels` of the root.
    OPERATION_CHANNEL = "AG0504", "operation-channel";
    /// The schema of a message's headers is not that of an object.
    HEADERS_TYPE = "AG0505", "headers-type";
    /// An example does not fit its schema.
    EXAMPLE_MISFIT = "AG0506", "example-misfit";
    /// `type` is none of the types of JSON Schema.
    SCHEMA_TYPE = "AG0601", "schema-type";
    /// A schema is written in a format that is not understood.
    SCHEMA_FORMAT = "AG0602", "schema-format";
    /// The value of a keyword says nothing, or something that no value can meet.
    SCHEMA_KEYWORD = "AG0603", "schema-keyword";
    /// A pattern is no regular expression of ECMA-262.
    SCHEMA_PATTERN = "AG0604", "schema-pattern";
    /// The default of a schema does not fit the schema.
    DEFAULT_MISFIT = "AG0605", "default-misfit";
    /// A security requirement names a scheme that the document does not have.
    SECURITY_UNDEFINED = "AG0701", "security-undefined";
    /// A security requirement asks for a scope that the scheme does not have.
    SCOPE_UNDEFINED = "AG0702", "scope-undefined";
    /// There is no binding of this name at this place.
    BINDING_UNKNOWN = "AG0703", "binding-unknown";
    /// A number in a binding is outside of what the protocol allows.
    BINDING_RANGE = "AG0704", "binding-range";
    /// The version of a binding is not known.
    BINDING_VERSION = "AG0705", "binding-version";
    /// The settings file names something that the document does not have.
    SETTINGS_TARGET = "AG0801", "settings-target";
}
