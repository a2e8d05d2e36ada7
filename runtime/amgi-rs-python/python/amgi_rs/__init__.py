"""AMGI servers in Rust for Python applications: Kafka, MQTT, Redis, AMQP, SQS and NATS.

Each module has `Server(app, *addresses, ...)` with `serve()` and `stop()`, and `run(app, *addresses, ...)`, which stops on SIGINT
and SIGTERM::

    from amgi_rs import kafka

    kafka.run(app, "user.created", bootstrap_servers="localhost:9092", group_id="users")
"""

from amgi_rs._native import SendError

__all__ = ["SendError"]
