//! Keeps orders in Redis under their Kafka key; the connection lives as long as the application.

use std::{env, process::ExitCode, sync::Arc};

use amgi::{Context, Failure};
use redis::{AsyncCommands as _, RedisResult, aio::ConnectionManager};

amgi_gen_macro::asyncapi!("../../specs/asyncfast_orders.yaml", as orders);

use orders::{Order, OrderHandler};

struct Orders {
    redis: ConnectionManager,
}

impl Orders {
    async fn connect() -> RedisResult<Self> {
        let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://localhost".to_owned());
        let mut redis = redis::Client::open(url)?.get_connection_manager().await?;
        let () = redis.incr("orders:running", 1).await?;
        Ok(Self { redis })
    }

    async fn close(&self) -> RedisResult<()> {
        self.redis.clone().decr("orders:running", 1).await
    }
}

impl OrderHandler for Orders {
    type Error = Failure;

    async fn on_order(&self, message: Order, _: &Context) -> Result<(), Failure> {
        let key = message.bindings.kafka_key;
        let key = key.ok_or_else(|| Failure::msg("an order without a key").discard())?;
        let order = serde_json::to_string(&message.payload)?;
        let () = self.redis.clone().set(format!("order:{key}"), order).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let app = || {
        orders::app_with(Orders::connect)
            .on_shutdown(|orders: Arc<Orders>| async move { orders.close().await })
    };
    amgi::cli::App::new(orders::DOCUMENT, app).run().await
}
