//! What a crate gets for AWS Lambda, and when. That the template is one that SAM takes, `amgi-brokers-tests` says.

mod common;

use common::{DOCUMENT, Folder};

/// The document with these servers.
fn on(servers: &str) -> String {
    DOCUMENT.replacen("channels:\n", &format!("servers: {{{servers}}}\nchannels:\n"), 1)
}

fn generated(document: &str, args: &[&str]) -> Folder {
    let folder = Folder::with(document);
    folder.ok(&[&["user.yaml", "-o", "app"], args].concat());
    folder
}

#[test]
fn a_document_without_a_server_of_aws_has_nothing_of_it() {
    for servers in ["", "main: {host: localhost, protocol: kafka}"] {
        let folder = generated(&on(servers), &[]);
        assert!(!folder.exists("app/template.yaml") && !folder.exists("app/src/bin"));
        let manifest = folder.read("app/Cargo.toml");
        assert!(
            !manifest.contains("[[bin]]") && manifest.contains("lambda = [\"dep:amgi-lambda\"]\n"),
            "{manifest}"
        );
        assert!(!folder.read("app/README.md").contains("Lambda"));
    }
}

#[test]
fn a_queue_gives_a_binary_and_a_template() {
    let folder = generated(&on("main: {host: localhost, protocol: sqs}"), &[]);
    let manifest = folder.read("app/Cargo.toml");
    for part in [
        "default-run = \"app\"\n",
        "[[bin]]\nname = \"bootstrap\"\npath = \"src/bin/bootstrap.rs\"\nrequired-features = [\"lambda\"]\n",
        "default = [\"sqs\"]\n",
    ] {
        assert!(manifest.contains(part), "{part} is not in\n{manifest}");
    }
    let (main, bootstrap) = (folder.read("app/src/main.rs"), folder.read("app/src/bin/bootstrap.rs"));
    let code = |text: &str| text.split_once("\n\n").unwrap().1.to_owned();
    assert_eq!(code(&main), code(&bootstrap), "they differ in what they say of themselves");
    let template = folder.read("app/template.yaml");
    for part in [
        "Description: \"Users\"\n",
        "Runtime: provided.al2023\n",
        "AMGI_SQS_REGION: !Ref AWS::Region\n",
        "QueueName: \"user--created\"\n",
        "Queue: !GetAtt CreatedQueue.Arn\n            BatchSize: 10\n            FunctionResponseTypes: [ReportBatchItemFailures]\n",
        "deadLetterTargetArn: !GetAtt DeadLetters.Arn\n",
        ":user--*--welcome\"\n",
        ":user--found\"\n",
    ] {
        assert!(template.contains(part), "{part} is not in\n{template}");
    }
    assert!(!template.contains("Parameters:"), "{template}");
    let readme = folder.read("app/README.md");
    assert!(readme.contains("--features lambda,sqs\n") && readme.contains("| `template.yaml` |"), "{readme}");
    folder.write("app/template.yaml", "# mine\n");
    folder.ok(&["user.yaml", "-o", "app"]).says(&["kept       template.yaml (yours)"]);
}

#[test]
fn whoever_asks_gets_it_too() {
    for (servers, part, features) in [
        ("", "QueueName: \"user--created\"\n", "lambda,sqs"),
        ("main: {host: localhost, protocol: mqtt}", "QueueName: \"user--created\"\n", "lambda,sqs"),
        (
            "main: {host: localhost, protocol: kafka-secure}",
            "Type: MSK\n          Properties:\n            Stream: !Ref KafkaClusterArn\n            Topics: [\"user.created\"]\n",
            "lambda,kafka",
        ),
    ] {
        let folder = generated(&on(servers), &["--lambda"]);
        let template = folder.read("app/template.yaml");
        assert!(template.contains(part), "{part} is not in\n{template}");
        assert!(folder.read("app/README.md").contains(&format!("--features {features}\n")));
        let folder = Folder::with(&on(servers));
        folder.write("amgi.toml", "lambda = true\n");
        folder.ok(&["user.yaml", "-o", "app"]);
        assert_eq!(folder.read("app/template.yaml"), template);
    }
}

#[test]
fn ones_own_main_is_the_functions_too() {
    let folder = Folder::with(&on("main: {host: localhost, protocol: sqs}"));
    folder.write(
        "mine/main.rs.jinja",
        "{% extends \"amgi/main.rs.jinja\" %}\n{% block setup %}\n    mine::setup();\n{% endblock %}\n",
    );
    folder.ok(&["user.yaml", "-o", "app", "--templates", "mine"]);
    for file in ["app/src/main.rs", "app/src/bin/bootstrap.rs"] {
        assert!(folder.read(file).contains("    mine::setup();\n"));
    }
}
