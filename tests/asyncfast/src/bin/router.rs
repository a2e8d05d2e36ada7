//! Receives orders from one broker; what it sends goes back there or to another one, by the address.

use std::{env, error::Error};

use amgi::{Client, Context, Failure, Replies, SendRouter};

amgi_gen_macro::asyncapi!("../../specs/asyncfast_router.yaml", as processing);

use processing::{
    CancelShipping, CancelShippingHeaders, EmailProcessingOrder, EmailProcessingOrderHeaders, OrderChanged,
    OrdersHandler, Sender,
};

struct Processing;

impl OrdersHandler for Processing {
    type Error = Failure;

    async fn on_order_changed(&self, message: OrderChanged, cx: &Context) -> Result<(), Failure> {
        let (order_id, payload) = (message.headers.order_id, message.payload);
        match payload.status.as_str() {
            "processing" => {
                let headers = EmailProcessingOrderHeaders { order_id };
                let email = EmailProcessingOrder { payload, headers };
                Sender::from(cx).email_processing_order(email).await?;
            }
            "cancelled" => {
                let headers = CancelShippingHeaders { order_id };
                Sender::from(cx).cancel_shipping(CancelShipping { headers }).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (orders, shipping) = (env::var("ORDERS_URL")?, env::var("SHIPPING_URL")?);
    let shipping = Client::start(Replies::default(), |app, stop| {
        amgi_mqtt::Server::new(app).url(shipping).stop(&stop).serve()
    })
    .await?;
    let router = SendRouter::new().route("cancel-shipping", shipping.sender().clone())?;
    // What has no route goes to the server that the order came from.
    let served = amgi_mqtt::Server::new(router.around(processing::app(Processing))).url(orders).serve().await;
    shipping.close().await?;
    Ok(served?)
}
