//! Rules by which other tools refuse a document: each has a document that breaks it, and one that keeps to it.
#![allow(missing_docs)]

use std::fmt::Write as _;

use amgi_asyncapi::{Loaded, load_str};

/// `line:column severity code` of everything that is reported.
fn found(loaded: &Loaded) -> Vec<String> {
    let lines = loaded.diagnostics.iter();
    lines.map(|d| format!("{}:{} {} {}", d.span.line, d.span.column, d.severity, d.code.name)).collect()
}

/// A document of AsyncAPI 3 whose third line on is `text`.
fn three(text: &str) -> Loaded {
    load_str("t.yaml", &format!("asyncapi: 3.0.0\ninfo: {{title: T, version: '1'}}\n{text}"))
}

/// A document of AsyncAPI 2 of this minor version.
fn two(minor: u32, text: &str) -> Loaded {
    load_str("t.yaml", &format!("asyncapi: 2.{minor}.0\ninfo: {{title: T, version: '1'}}\n{text}"))
}

fn is(loaded: &Loaded, expected: &[&str]) {
    assert_eq!(found(loaded), expected, "{}", loaded.report());
}

fn clean(loaded: &Loaded) {
    is(loaded, &[]);
}

/// A document with one schema.
fn schema(text: &str) -> Loaded {
    three(&format!("components:\n  schemas:\n    S: {text}\n"))
}

/// The codes that a schema gets, in order.
fn codes(text: &str) -> Vec<String> {
    let loaded = schema(text);
    loaded.diagnostics.iter().map(|d| format!("{} {}", d.severity, d.code.name)).collect()
}

#[test]
fn forms_of_texts() {
    let info = |text: &str| {
        load_str("t.yaml", &format!("asyncapi: 3.0.0\ninfo:\n  title: T\n  version: '1'\n{text}"))
    };
    is(
        &info(
            "  termsOfService: terms.html
  contact: {email: nobody, url: 'a b'}
  license: {name: MIT, url: mit}
  externalDocs: {url: '/docs'}
id: users
",
        ),
        &[
            "5:19 warning format-mismatch",
            "6:20 warning format-mismatch",
            "6:33 warning format-mismatch",
            "7:29 warning format-mismatch",
            "8:23 warning format-mismatch",
            "9:5 warning format-mismatch",
        ],
    );
    clean(&info(
        "  termsOfService: https://example.com/terms.html#all
  contact: {email: a@example.com, url: 'https://example.com'}
  license: {name: MIT, url: 'https://example.com/mit'}
  externalDocs: {url: 'urn:docs'}
id: urn:com:example:users
",
    ));
    is(&info("  contact: {email: 5}\n"), &["5:20 error type-mismatch"]);
}

#[test]
fn what_must_be_unique() {
    is(
        &three(
            "servers:
  s: {host: '{a}', protocol: kafka, variables: {a: {enum: [x, y, x]}}, tags: [{name: t}, {name: u}, {name: t}]}
channels:
  c: {servers: [{$ref: '#/servers/s'}, {$ref: '#/servers/s'}], tags: [{name: t}, {$ref: '#/components/tags/t'}]}
components: {tags: {t: {name: t}}}
",
        ),
        &[
            "4:66 warning duplicate-item",
            "4:108 warning duplicate-item",
            "6:40 warning duplicate-item",
            "6:89 warning duplicate-item",
        ],
    );
    is(
        &two(6, "channels: {a: {servers: [s, s]}}\nservers: {s: {url: a, protocol: b}}\n"),
        &["3:29 warning duplicate-item"],
    );
    clean(&two(
        6,
        "tags: [{name: a}, {name: b}]\nchannels: {a: {servers: [s]}}\nservers: {s: {url: a, protocol: b}}\n",
    ));
    clean(&three("servers: {s: {host: '{a}', protocol: kafka, variables: {a: {enum: [x, y]}}}}\n"));
}

#[test]
fn extensions() {
    is(&three("x-owner team: a\nx-: b\n"), &["3:1 warning extension-name", "4:1 warning extension-name"]);
    clean(&three("x-owner.team_1-a: a\n"));
    is(&three("channels: {x-a: 5}\n"), &["3:12 warning unknown-field"]);
}

#[test]
fn security_schemes() {
    let schemes = |three_or_two: fn(&str) -> Loaded, list: &[&str]| {
        let mut text = String::from("channels: {}\ncomponents:\n  securitySchemes:\n");
        for (at, scheme) in list.iter().enumerate() {
            let _ = writeln!(text, "    s{at}: {scheme}");
        }
        three_or_two(&text)
    };
    let wrong = [
        "{type: basic}",
        "{description: a}",
        "{type: apiKey, in: header}",
        "{type: apiKey}",
        "{type: httpApiKey, in: body, name: a}",
        "{type: http}",
        "{type: http, scheme: basic, bearerFormat: JWT}",
        "{type: oauth2}",
        "{type: oauth2, flows: {implicit: {tokenUrl: 'https://a.b', scopes: {}}}}",
        "{type: oauth2, flows: {password: {tokenUrl: a, availableScopes: {a: 1}}}}",
        "{type: oauth2, flows: {device: {}}}",
        "{type: openIdConnect, openIdConnectUrl: a}",
        "{type: X509, name: a}",
    ];
    is(
        &schemes(three, &wrong),
        &[
            "6:16 warning unknown-value",
            "7:9 warning missing-field",
            "8:28 warning unknown-value",
            "9:9 warning missing-field",
            "10:32 warning unknown-value",
            "11:9 warning missing-field",
            "12:37 warning unknown-field",
            "13:9 warning missing-field",
            "14:42 warning missing-field",
            "14:42 warning missing-field",
            "14:43 warning unknown-field",
            "14:68 warning unknown-field",
            "15:53 warning format-mismatch",
            "15:77 warning type-mismatch",
            "16:33 warning unknown-field",
            "17:50 warning format-mismatch",
            "18:23 warning unknown-field",
        ],
    );
    let right = [
        "{type: userPassword}",
        "{type: apiKey, in: user, description: a}",
        "{type: httpApiKey, in: cookie, name: a}",
        "{type: http, scheme: basic}",
        "{type: http, scheme: bearer, bearerFormat: JWT}",
        "{type: openIdConnect, openIdConnectUrl: 'https://a.b', x-a: b}",
        "{type: scramSha256}",
    ];
    let three_flow = "{type: oauth2, scopes: [a], flows: {clientCredentials: {tokenUrl: 'https://a.b', availableScopes: {a: b}}}}";
    let two_flow = "{type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://a.b', scopes: {a: b}}}}";
    clean(&schemes(three, &[&right[..], &[three_flow]].concat()));
    clean(&schemes(|text| two(6, text), &[&right[..], &[two_flow]].concat()));
    is(&schemes(|text| two(0, text), &["{type: plain}"]), &["6:16 warning unknown-value"]);
}

#[test]
fn security_requirements() {
    let document = |requirements: &str| {
        two(
            4,
            &format!(
                "servers: {{s: {{url: a, protocol: b, security: {requirements}}}}}
channels: {{a: {{publish: {{security: {requirements}}}}}}}
components:
  securitySchemes:
    oauth: {{type: oauth2, flows: {{implicit: {{authorizationUrl: 'https://a.b', scopes: {{read: r}}}}}}}}
    user: {{type: userPassword}}
"
            ),
        )
    };
    is(&document("[{usr: []}]"), &["3:48 warning security-undefined", "4:38 warning security-undefined"]);
    is(&document("[{oauth: [red]}]"), &["3:56 warning scope-undefined", "4:46 warning scope-undefined"]);
    is(&document("[{user: a}]"), &["3:54 warning type-mismatch", "4:44 warning type-mismatch"]);
    clean(&document("[{user: []}, {oauth: [read]}, {}]"));
}

#[test]
fn addresses() {
    is(
        &two(
            6,
            "channels:\n  'a b': {}\n  'u/{user-id}': {parameters: {user-id: {}}}\n  'a?b=c': {}\n  '': {}\n",
        ),
        &[
            "4:3 warning address-form",
            "5:3 warning address-form",
            "6:3 warning address-query",
            "7:3 warning address-form",
        ],
    );
    clean(&two(6, "channels:\n  'a/{id}/{?q}': {parameters: {id: {}, '?q': {}}}\n"));
    is(
        &three("channels: {c: {address: 'a?b'}, 'd#': {address: d}}\n"),
        &["3:25 warning address-query", "3:33 warning address-query"],
    );
    clean(&three("channels: {'a b': {address: 'a b'}}\n"));
    is(
        &three("servers: {s: {host: a, protocol: b, variables: {c: {}}}}\n"),
        &["3:49 warning variable-unused"],
    );
    is(
        &three(
            "channels: {c: {parameters: {p: {location: '$message.payload#p', default: 5}}, address: '{p}'}}\n",
        ),
        &["3:43 warning runtime-expression", "3:74 warning type-mismatch"],
    );
}

#[test]
fn references_of_the_root() {
    let document = |server: &str, channel: &str| {
        three(&format!(
            "servers: {{s: {{$ref: '#/components/servers/s'}}}}
channels: {{c: {{$ref: '#/components/channels/c'}}, d: {{servers: [{{$ref: '{server}'}}]}}}}
operations: {{o: {{action: send, channel: {{$ref: '{channel}'}}}}}}
components: {{servers: {{s: {{host: a, protocol: b}}}}, channels: {{c: {{address: c}}}}}}
"
        ))
    };
    clean(&document("#/servers/s", "#/channels/c"));
    is(
        &document("#/components/servers/s", "#/components/channels/c"),
        &["4:71 warning channel-server", "5:48 warning operation-channel"],
    );
}

#[test]
fn references_name_objects_of_the_right_kind() {
    let document = |pointer: &str| {
        three(&format!(
            "channels: {{c: {{messages: {{m: {{correlationId: {{$ref: '{pointer}'}}}}}}}}}}
components:
  tags: {{t: {{name: t}}}}
  correlationIds: {{c: {{location: '$message.header#/c'}}}}
x-else: {{location: '$message.header#/c', wrong: 1}}
"
        ))
    };
    clean(&document("#/components/correlationIds/c"));
    let loaded = document("#/components/tags/t");
    is(&loaded, &["3:53 warning ref-target"]);
    assert!(
        loaded.report().contains("`#/components/tags/t` is a tag, not `correlationId`"),
        "{}",
        loaded.report()
    );
    // What stands nowhere else is looked at for the sake of the reference.
    is(&document("#/x-else"), &["7:42 warning unknown-field"]);
}

#[test]
fn references_where_a_version_has_none() {
    let server = "channels: {}\nservers: {s: {$ref: '#/components/servers/s'}}\ncomponents: {servers: {s: {url: a, protocol: b}}}\n";
    is(&two(2, server), &["4:21 warning ref-map", "5:14 warning unknown-field"]);
    clean(&two(3, server));
    let tag = "{$ref: '#/components/x-tag'}";
    is(
        &two(6, &format!("channels: {{}}\ntags: [{tag}]\ncomponents: {{x-tag: {{name: a}}}}\n")),
        &["4:15 warning ref-map"],
    );
    clean(&three(
        "channels: {c: {tags: [{$ref: '#/components/tags/t'}]}}\ncomponents: {tags: {t: {name: a}}}\n",
    ));
    let info =
        load_str("t.yaml", "asyncapi: 3.0.0\ninfo: {$ref: '#/x-info'}\nx-info: {title: T, version: '1'}\n");
    is(&info, &["2:14 warning ref-map"]);
}

#[test]
fn bindings_have_names_of_protocols() {
    is(
        &three("channels: {c: {bindings: {rabbitmq: {}, mqtt6: {}, kafka: 5, x-mine: {}, x-a b: {}}}}\n"),
        &[
            "3:27 warning binding-unknown",
            "3:41 warning binding-unknown",
            "3:59 warning type-mismatch",
            "3:74 warning extension-name",
        ],
    );
    clean(&three("channels: {c: {bindings: {amqp: {}, ws: {}, pulsar: {}}}}\n"));
    clean(&three("servers: {s: {host: a, protocol: ros2, bindings: {ros2: {}}}}\n"));
    clean(&three("channels: {c: {bindings: {mqtt5: {}}}}\n"));
    clean(&two(6, "channels: {c: {bindings: {rabbitmq: {}}}}\n"));
}

#[test]
fn identifiers_of_version_2() {
    let messages = "channels:
  a: {publish: {operationId: o, message: {$ref: '#/components/messages/m'}}}
  b: {subscribe: {operationId: p, message: {oneOf: [{$ref: '#/components/messages/m'}, {messageId: n}]}}}
components: {messages: {m: {messageId: m}}}
";
    is(&two(4, messages), &["6:40 warning duplicate-id"]);
    clean(&two(4, &messages.replace("messageId: m", "name: m")));
    is(
        &two(4, &messages.replace("messageId: n", "messageId: m")),
        &["5:100 error duplicate-id", "6:40 warning duplicate-id"],
    );
    let traits = "channels:
  a: {publish: {operationId: a, traits: [{operationId: o}]}}
  b: {publish: {operationId: b, traits: [{$ref: '#/components/operationTraits/t'}]}}
components: {operationTraits: {t: {operationId: o}}}
";
    assert_eq!(two(4, traits).diagnostics.with_code("duplicate-id").count(), 1);
    assert_eq!(
        two(4, &traits.replace("t: {operationId: o}", "t: {}")).diagnostics.with_code("duplicate-id").count(),
        0
    );
}

#[test]
fn headers_are_objects() {
    let headers = |text: &str| three(&format!("channels: {{c: {{messages: {{m: {{headers: {text}}}}}}}}}\n"));
    is(&headers("{type: string}"), &["3:47 warning headers-type"]);
    clean(&headers("{type: object}"));
    clean(&headers("{properties: {a: {type: string}}}"));
}

#[test]
fn examples_of_messages() {
    let message = |text: &str| {
        format!(
            "channels: {{}}
components:
  schemas:
    User: {{type: object, required: [id], properties: {{id: {{type: integer, minimum: 1}}, at: {{type: string, format: date-time}}}}}}
  messages:
    m:
      payload: {{$ref: '#/components/schemas/User'}}
      headers: {{type: object, additionalProperties: false, properties: {{h: {{pattern: '^[a-z]+$'}}}}}}
      examples: {text}
"
        )
    };
    for (wrong, place) in [
        ("[{payload: {}}]", "11:28 warning example-misfit"),
        ("[{payload: {id: 0}}]", "11:33 warning example-misfit"),
        ("[{payload: {id: 1, at: yesterday}}]", "11:40 warning example-misfit"),
        ("[{payload: text}]", "11:28 warning example-misfit"),
        ("[{headers: {h: A}}]", "11:32 warning example-misfit"),
        ("[{headers: {i: a}}]", "11:29 warning example-misfit"),
        ("[{name: a}]", "11:18 warning missing-field"),
    ] {
        is(&two(6, &message(wrong)), &[place]);
        is(&three(&message(wrong)), &[place]);
    }
    let right =
        message("[{payload: {id: 1, at: '2024-01-01T00:00:00Z', more: []}, headers: {h: a}, name: n}]");
    clean(&two(6, &right));
    clean(&three(&right));
    // Where the payload is of a format of its own, examples are not compared with it.
    let avro = two(
        6,
        "channels: {a: {publish: {message: {schemaFormat: 'application/vnd.apache.avro;version=1.9.0', payload: string, examples: [{payload: 5}]}}}}\n",
    );
    is(&avro, &["3:50 warning schema-format"]);
}

#[test]
fn values_fit_their_schemas_by_every_keyword() {
    for (schema, right, wrong) in [
        ("{type: [string, 'null']}", "null", "5"),
        ("{type: integer}", "1.0", "1.5"),
        ("{enum: [a, {b: 1}]}", "{b: 1}", "b"),
        ("{const: 5}", "5", "6"),
        ("{maximum: 5, exclusiveMinimum: 1}", "5", "1"),
        ("{multipleOf: 0.1}", "0.3", "0.35"),
        ("{minLength: 2, maxLength: 3}", "äöü", "ä"),
        ("{maxLength: 3}", "abc", "abcd"),
        ("{pattern: '^a'}", "ab", "ba"),
        ("{format: email}", "a@b.c", "a"),
        ("{items: {type: string}}", "[a]", "[a, 1]"),
        ("{items: [{type: string}], additionalItems: false}", "[a]", "[a, b]"),
        ("{minItems: 1, maxItems: 2}", "[1]", "[]"),
        ("{maxItems: 2}", "[1]", "[1, 2, 3]"),
        ("{uniqueItems: true}", "[1, 2]", "[{a: 1}, {a: 1}]"),
        ("{contains: {const: 1}}", "[2, 1]", "[2]"),
        ("{minProperties: 1, maxProperties: 1}", "{a: 1}", "{}"),
        ("{required: [a]}", "{a: 1}", "{b: 1}"),
        ("{properties: {a: {type: string}}}", "{b: 1}", "{a: 1}"),
        (
            "{patternProperties: {'^a': {type: string}}, additionalProperties: {type: integer}}",
            "{ab: x, c: 1}",
            "{c: x}",
        ),
        ("{patternProperties: {'^a': {type: string}}}", "{ab: x}", "{ab: 1}"),
        ("{propertyNames: {maxLength: 1}}", "{a: 1}", "{ab: 1}"),
        ("{dependencies: {a: [b]}}", "{a: 1, b: 1}", "{a: 1}"),
        ("{dependencies: {a: {required: [b]}}}", "{b: 1}", "{a: 1}"),
        ("{allOf: [{minimum: 1}, {maximum: 2}]}", "1", "3"),
        ("{anyOf: [{minimum: 5}, {maximum: 2}]}", "1", "3"),
        ("{oneOf: [{minimum: 1}, {maximum: 2}]}", "3", "1"),
        ("{oneOf: [{const: 1}, {const: 2}]}", "2", "3"),
        ("{not: {const: 1}}", "2", "1"),
        ("{if: {const: 1}, then: false, else: {type: integer}}", "2", "1"),
        ("{if: {const: 1}, else: {type: integer}}", "1", "a"),
        (
            "{properties: {next: {$ref: '#/components/schemas/S'}}, additionalProperties: false}",
            "{next: {next: {}}}",
            "{next: {nxt: {}}}",
        ),
    ] {
        let with = |value: &str| {
            let inner = schema.strip_suffix('}').expect("an object");
            codes(&format!("{inner}, default: {value}}}"))
        };
        assert!(with(right).is_empty(), "{schema} {right} {:?}", with(right));
        assert_eq!(with(wrong), ["warning default-misfit"], "{schema} {wrong}");
    }
    assert_eq!(codes("{type: string, examples: [a, 5]}"), ["warning example-misfit"]);
}

#[test]
fn schemas_that_never_end_take_no_time() {
    let text =
        "{anyOf: [{$ref: '#/components/schemas/S'}, {$ref: '#/components/schemas/S'}, false], default: 5}";
    assert!(codes(text).iter().all(|code| !code.starts_with("error")), "{:?}", codes(text));
    let long = "a".repeat(10_000);
    assert!(codes(&format!("{{pattern: '^(a+)+$', default: '{long}!'}}")).is_empty());
}

#[test]
fn keywords_of_schemas() {
    for (wrong, code) in [
        ("{required: [a, a]}", "warning duplicate-item"),
        ("{enum: [1, 1]}", "warning duplicate-item"),
        ("{type: [string, string]}", "warning duplicate-item"),
        ("{dependencies: {a: [b, b]}}", "warning duplicate-item"),
        ("{required: true}", "error type-mismatch"),
        ("{discriminator: {mapping: {}}}", "error type-mismatch"),
        (
            "{discriminator: {propertyName: kind, mapping: {cat: '#/components/schemas/Cat'}}}",
            "warning type-mismatch",
        ),
        ("{multipleOf: 0}", "error type-mismatch"),
        ("{uniqueItems: 1}", "error type-mismatch"),
        ("{maxLength: 1.5}", "error type-mismatch"),
        ("{examples: {}}", "warning type-mismatch"),
        ("{readOnly: 1}", "warning type-mismatch"),
        ("{deprecated: 1}", "warning type-mismatch"),
        ("{$comment: 1}", "warning type-mismatch"),
        ("{externalDocs: {}}", "warning missing-field"),
        ("{externalDocs: {url: a}}", "warning format-mismatch"),
        ("{enum: []}", "warning schema-keyword"),
        ("{type: []}", "warning schema-keyword"),
        ("{allOf: []}", "warning schema-keyword"),
        ("{minimum: 2, maximum: 1}", "warning schema-keyword"),
        ("{minLength: 2, maxLength: 1}", "warning schema-keyword"),
        ("{pattern: '['}", "warning schema-pattern"),
        ("{patternProperties: {'(': {}}}", "warning schema-pattern"),
        ("{prefixItems: 5}", "warning type-mismatch"),
    ] {
        assert_eq!(codes(wrong), [code], "{wrong}");
    }
    for right in [
        "{required: [a, b], enum: [1, '1'], type: [string, integer]}",
        "{multipleOf: 0.5, uniqueItems: true, maxLength: 2.0, readOnly: true, deprecated: false}",
        "{examples: [], externalDocs: {url: 'https://a.b'}, minimum: 1, maximum: 1}",
        "{pattern: '^(?<a>x)\\d+$', patternProperties: {'^x-': true}}",
        "{dependencies: {a: [b], c: {required: [d]}}, items: [{}], allOf: [true]}",
    ] {
        assert!(codes(right).is_empty(), "{right} {:?}", codes(right));
    }
    // Beside a reference and in other drafts, what is wrong does not matter enough to stop.
    is(
        &schema("{$ref: '#/components/schemas/T', required: true}\n    T: {}"),
        &["5:51 warning type-mismatch"],
    );
    let format =
        "{schemaFormat: 'application/schema+json;version=draft-04', schema: {exclusiveMinimum: true}}";
    assert_eq!(codes(format), ["warning type-mismatch"]);
}

#[test]
fn schemas_of_other_formats() {
    let avro = |text: &str| {
        let text = format!("{{schemaFormat: 'application/vnd.apache.avro;version=1.9.0', schema: {text}}}");
        codes(&text).into_iter().filter(|code| !code.ends_with("schema-format")).collect::<Vec<_>>()
    };
    let open_api = |text: &str| {
        codes(&format!("{{schemaFormat: 'application/vnd.oai.openapi;version=3.0.0', schema: {text}}}"))
    };
    for (wrong, code) in [
        ("{type: recrd, name: A}", "warning unknown-value"),
        ("{type: record, fields: []}", "warning missing-field"),
        ("{type: record, name: A b, fields: []}", "warning format-mismatch"),
        ("{type: record, name: A, fields: [{name: a}]}", "warning missing-field"),
        ("{type: record, name: A, fields: [{name: a, type: {type: map}}]}", "warning missing-field"),
        ("{type: enum, name: A, symbols: [B, B]}", "warning duplicate-item"),
        ("['null', 5]", "warning type-mismatch"),
        ("'a b'", "warning format-mismatch"),
    ] {
        assert_eq!(avro(wrong), [code], "{wrong}");
    }
    for right in [
        "{type: record, name: A, namespace: a.b, fields: [{name: a, type: ['null', {type: array, items: a.b.C}], default: null}]}",
        "{type: fixed, name: A, size: 4}",
        "{type: long, logicalType: timestamp-millis}",
        "string",
    ] {
        assert!(avro(right).is_empty(), "{right} {:?}", avro(right));
    }
    for (wrong, code) in [
        ("{type: [string]}", "warning type-mismatch"),
        ("{type: 'null'}", "warning unknown-value"),
        ("{properties: {a: {nullable: 1}}}", "warning type-mismatch"),
        ("{const: 5}", "warning unknown-field"),
        ("{discriminator: {}}", "warning missing-field"),
    ] {
        assert_eq!(open_api(wrong), [code], "{wrong}");
    }
    let right = "{type: object, properties: {a: {type: string, nullable: true, example: b}}, additionalProperties: false, x-a: 1}";
    assert!(open_api(right).is_empty(), "{:?}", open_api(right));
    let proto = "{schemaFormat: 'application/vnd.google.protobuf;version=3', schema: {type: object}}";
    assert!(codes(proto).contains(&"warning type-mismatch".to_string()), "{:?}", codes(proto));
}
