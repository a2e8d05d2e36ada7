//! Sockets, passwords, clusters and sentinels.

use std::{path::Path, time::Duration};

use amgi::{Message, Settlement};
use amgi_brokers_tests::{App, Authority, RedisServer, init_logs, within};
use amgi_redis::Server;
use redis::cmd;

use crate::{Hand, Running, channel, content, next, server};

#[tokio::test]
async fn a_socket_and_a_password() {
    let redis =
        RedisServer::with(&["--unixsocket", "{dir}/redis.sock", "--requirepass", "se/cret", "--save", ""]);
    let socket = redis.dir().join("redis.sock");
    // It listens there last.
    within("the socket", async {
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (app, mut began) = content(&["orders"]);
    let url = format!("redis+unix://{}?pass=se%2Fcret&db=2", socket.display());
    let running = Running::start(server(app, url)).await;
    let by_tcp = format!("redis://:se%2Fcret@127.0.0.1:{}/2", redis.port());
    Hand::at(&by_tcp).await.add("orders", &["one"]).await;
    assert_eq!(next(&mut began).await, "one");
    running.stop().await;

    let (app, mut began) = content(&["orders"]);
    let login = server(app, format!("redis://127.0.0.1:{}/2", redis.port())).credentials("", "se/cret");
    let running = Running::start(login).await;
    Hand::at(&by_tcp).await.add("orders", &["two"]).await;
    assert_eq!(next(&mut began).await, "two");
    running.stop().await;

    let (app, _) = content(&["orders"]);
    let ended = within("an error", server(app, redis.url()).serve()).await;
    assert!(ended.is_err_and(|error| error.to_string().contains("NOAUTH")), "no password is no way in");
}

/// Three servers, each with a third of the slots.
async fn cluster() -> Vec<RedisServer> {
    let args = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        "{free}",
        "--cluster-node-timeout",
        "2000",
        "--save",
        "",
    ];
    let servers: Vec<_> = (0..3).map(|_| RedisServer::with(&args)).collect();
    for (number, one) in servers.iter().enumerate() {
        let mut hand = Hand::of(one).await;
        let (first, last) = (number * 5462, (number * 5462 + 5461).min(16383));
        let _: String = hand.ask(cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last)).await;
        for other in &servers {
            let mut theirs = Hand::of(other).await;
            let bus: Vec<String> = theirs.ask(cmd("CONFIG").arg("GET").arg("cluster-port")).await;
            let _: String =
                hand.ask(cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(other.port()).arg(&bus[1])).await;
        }
    }
    for one in &servers {
        let mut hand = Hand::of(one).await;
        within("the cluster", async {
            loop {
                let info: String = hand.ask(cmd("CLUSTER").arg("INFO")).await;
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
    servers
}

#[tokio::test]
async fn a_cluster_has_its_streams_on_several_servers() {
    init_logs();
    let servers = cluster().await;
    let (app, mut began) = App::new([channel("lane.{n}")], |cx| async move {
        let copy = Message::new(format!("copy.{}", cx.address())).payload("x");
        match cx.send(copy).await {
            Ok(()) => Settlement::Ack,
            Err(error) => panic!("{error}"),
        }
    });
    let url = format!("redis-cluster://127.0.0.1:{}", servers[1].port());
    let lanes: Vec<_> = (0..12).map(|n| format!("lane.{n}")).collect();
    let mut running =
        Running::start(server(app, &url).addresses("lane.{n}", lanes.clone()).concurrency(4)).await;
    let client = redis::cluster::ClusterClient::new([servers[0].url()]).expect("a URL");
    let add = move |payload: &'static str| {
        let (client, lanes) = (client.clone(), lanes.clone());
        let added = tokio::task::spawn_blocking(move || {
            let mut connection = client.get_connection().expect("a cluster");
            for lane in &lanes {
                let added = cmd("XADD").arg(lane).arg("*").arg("payload").arg(payload).exec(&mut connection);
                added.expect("it takes them");
            }
        });
        async move { added.await.expect("it does not panic") }
    };
    add("one").await;
    for _ in 0..12 {
        assert_eq!(next(&mut began).await, "one");
    }
    // Slot of lane.0, wherever it is: to another server, with what is in it.
    move_slot(&servers, "lane.0").await;
    add("two").await;
    for _ in 0..12 {
        assert_eq!(next(&mut began).await, "two");
    }
    running.ready().await;
    running.stop().await;
    let mut copies = 0;
    for one in &servers {
        let keys: Vec<String> = Hand::of(one).await.ask(cmd("KEYS").arg("copy.*")).await;
        copies += keys.len();
    }
    assert_eq!(copies, 12, "sends find their way, too");
}

/// Moves the slot of a key, with all that is in it, to another server.
async fn move_slot(servers: &[RedisServer], key: &str) {
    let mut hands = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for one in servers {
        let mut hand = Hand::of(one).await;
        ids.push(hand.ask(cmd("CLUSTER").arg("MYID")).await);
        hands.push(hand);
    }
    let slot: usize = hands[0].ask(cmd("CLUSTER").arg("KEYSLOT").arg(key)).await;
    let from = (slot / 5462).min(2);
    let to = (from + 1) % 3;
    let setslot = |state: &str, node: &str| {
        let mut command = cmd("CLUSTER");
        command.arg("SETSLOT").arg(slot).arg(state).arg(node);
        command
    };
    let _: String = hands[to].ask(&setslot("IMPORTING", &ids[from])).await;
    let _: String = hands[from].ask(&setslot("MIGRATING", &ids[to])).await;
    loop {
        let keys: Vec<String> = hands[from].ask(cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(100)).await;
        if keys.is_empty() {
            break;
        }
        for key in keys {
            let mut migrate = cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(servers[to].port()).arg(key).arg(0).arg(5000);
            let _: String = hands[from].ask(&migrate).await;
        }
    }
    for at in [to, from, (to + 1) % 3] {
        let _: String = hands[at].ask(&setslot("NODE", &ids[to])).await;
    }
}

#[tokio::test]
async fn sentinels_name_the_master() {
    init_logs();
    let first = RedisServer::with(&["--save", ""]);
    let port = first.port().to_string();
    let second = RedisServer::with(&["--save", "", "--replicaof", &format!("127.0.0.1 {port}")]);
    let config = tempfile::NamedTempFile::new().expect("a file");
    let path = config.path().to_str().expect("its name is text").to_owned();
    let lines = format!(
        "sentinel monitor shop 127.0.0.1 {port} 1\nsentinel down-after-milliseconds shop 500\n\
         sentinel failover-timeout shop 3000\n"
    );
    std::fs::write(&path, lines).expect("it is written");
    let sentinel = RedisServer::with(&[&path, "--sentinel"]);
    let mut hand = Hand::of(&sentinel).await;
    within("the sentinel knows the replica", async {
        loop {
            let replicas: Vec<redis::Value> = hand.ask(cmd("SENTINEL").arg("REPLICAS").arg("shop")).await;
            let known: Vec<String> =
                hand.ask(cmd("SENTINEL").arg("get-master-addr-by-name").arg("shop")).await;
            if !replicas.is_empty() && known[1] == port {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let (app, mut began) = content(&["orders"]);
    let url = format!("redis-sentinel://127.0.0.1:{}/shop", sentinel.port());
    let server = server(app, url).connect_timeout(Duration::from_secs(2));
    let mut running = Running::start(server).await;
    Hand::of(&first).await.add("orders", &["one"]).await;
    assert_eq!(next(&mut began).await, "one");
    let mut first = first;
    first.kill();
    tokio::time::timeout(Duration::from_secs(40), running.ready.recv())
        .await
        .expect("the other one is master")
        .expect("it runs");
    Hand::of(&second).await.add("orders", &["two"]).await;
    assert_eq!(next(&mut began).await, "two");
    running.stop().await;
}

#[tokio::test]
async fn tls_with_an_authority_and_certificates_of_clients() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let certified = authority.broker(&["localhost"]);
    let path = |path: &Path| path.to_str().expect("its name is text").to_owned();
    let redis = RedisServer::with(&[
        "--tls-port",
        "{free}",
        "--tls-cert-file",
        &path(&certified.certificate),
        "--tls-key-file",
        &path(&certified.key),
        "--tls-ca-cert-file",
        &path(&authority.file()),
        "--save",
        "",
    ]);
    let mut hand = Hand::of(&redis).await;
    let port: Vec<String> = hand.ask(cmd("CONFIG").arg("GET").arg("tls-port")).await;
    let url = format!("rediss://localhost:{}", port[1]);
    let (client, stranger) = (authority.client(), strangers.client());
    let app = || content(&["orders"]).0;
    let trusting = || server(app(), &url).ca_file(authority.file());
    let of_client = |server: Server<App>| server.client_certificate(&client.certificate, &client.key);

    // Each says what is wrong.
    for (wrong, expected) in [
        (trusting(), "a certificate of this client"),
        (
            trusting().client_certificate(&stranger.certificate, &stranger.key),
            "the certificate of this client",
        ),
        (
            of_client(server(app(), &url)),
            "not issued by those whom the system trusts; `ca-file` names others",
        ),
        (of_client(trusting()).ca_file(strangers.file()), "was not issued by those in ca-file"),
        (of_client(trusting()).url(format!("rediss://127.0.0.1:{}", port[1])), "the broker's certificate: "),
        (of_client(server(app(), redis.url())), "are for TLS, which is rediss://"),
        (of_client(trusting()).ca_file("missing.pem"), "ca-file `missing.pem`: "),
        (of_client(trusting()).credentials("ada", "s3cret"), "WRONGPASS"),
    ] {
        let error = within("an error", wrong.serve()).await.expect_err(expected).to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{expected}: {error}");
    }

    let mut copies = 0;
    for (url, ca) in [(url.clone(), Some(authority.file())), (format!("{url}#insecure"), None)] {
        let (app, mut began) = App::new([channel("orders")], |cx| async move {
            assert!(cx.send(Message::new("answers").payload("x")).await.is_ok());
            Settlement::Ack
        });
        let server = of_client(server(app, url));
        let running = Running::start(match ca {
            Some(ca) => server.ca_file(ca),
            None => server,
        })
        .await;
        hand.add("orders", &["secret"]).await;
        assert_eq!(next(&mut began).await, "secret");
        running.stop().await;
        copies += 1;
        assert_eq!(hand.length("answers").await, copies, "sends are encrypted, too");
    }
}
