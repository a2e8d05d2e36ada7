//! A Kafka that wants to know who comes: by certificates, or by passwords.

use std::fs;

use super::Kafka;
use crate::{Authority, free_port};

/// A broker of one's own with a certificate for `localhost`, and a user `ada` with the password `s3cret`.
pub struct SecureKafka {
    kafka: Kafka,
    ports: [u16; 3],
}

impl SecureKafka {
    /// Starts it. `authority` issues its certificate, and those of clients that it takes.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(authority: &Authority) -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let [certified, login, plain] = ports;
        let user = |listener: &str| {
            let module = "org.apache.kafka.common.security";
            let of = |mechanism: &str, class: &str, users: &str| {
                format!(
                    "listener.name.{listener}.{mechanism}.sasl.jaas.config={module}.{class} required{users};\n"
                )
            };
            of("plain", "plain.PlainLoginModule", " user_ada=\"s3cret\"")
                + &of("scram-sha-256", "scram.ScramLoginModule", "")
                + &of("scram-sha-512", "scram.ScramLoginModule", "")
        };
        let extra = format!(
            "listeners=CLIENTS://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},\
             CERTIFIED://127.0.0.1:{certified},LOGIN://127.0.0.1:{login},PLAIN://127.0.0.1:{plain}\n\
             advertised.listeners=CLIENTS://127.0.0.1:{{port}},\
             CERTIFIED://localhost:{certified},LOGIN://localhost:{login},PLAIN://localhost:{plain}\n\
             listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,\
             CERTIFIED:SSL,LOGIN:SASL_SSL,PLAIN:SASL_PLAINTEXT\n\
             ssl.keystore.type=PEM\nssl.keystore.location={{dir}}/broker.pem\n\
             ssl.truststore.type=PEM\nssl.truststore.location={{dir}}/ca.pem\n\
             listener.name.certified.ssl.client.auth=required\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n{}{}",
            user("login"),
            user("plain")
        );
        let kafka = Kafka::with_files("PLAINTEXT", &extra, |dir| {
            let broker = authority.broker(&["localhost"]);
            let read = |path| fs::read_to_string(path).expect("a file of the authority");
            let pem = read(broker.key) + &read(broker.certificate);
            fs::write(dir.join("broker.pem"), pem).expect("the file is written");
            fs::write(dir.join("ca.pem"), read(authority.file())).expect("the file is written");
        });
        Self { kafka, ports }
    }

    /// The broker as everybody may use it.
    pub fn open(&self) -> &Kafka {
        &self.kafka
    }

    /// Where clients show certificates, over TLS.
    pub fn certified(&self) -> u16 {
        self.ports[0]
    }

    /// Where users log in, over TLS.
    pub fn login(&self) -> u16 {
        self.ports[1]
    }

    /// Where users log in, without TLS.
    pub fn plain(&self) -> u16 {
        self.ports[2]
    }
}
