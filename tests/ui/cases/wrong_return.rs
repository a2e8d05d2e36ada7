//! A handler that returns something else than the document's reply, or nothing at all.

use amgi::{Context, Failure};
use amgi_ui_tests::user::{
    self, FindUser, UserCreated, UserCreatedHandler, UserDeleted, UserEvents, UserEventsHandler, UserFindHandler,
    UserRenamed,
};

struct Service;

impl UserCreatedHandler for Service {
    type Error = Failure;

    // The result is forgotten.
    async fn on_user_created(&self, _: UserCreated, _: &Context) {}
}

impl UserEventsHandler for Service {
    type Error = Failure;

    async fn on_user_renamed(&self, _: UserEvents, _: UserRenamed, _: &Context) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_user_deleted(&self, _: UserEvents, _: UserDeleted, _: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

impl UserFindHandler for Service {
    type Error = Failure;

    // Not the reply.
    async fn find_user(&self, request: FindUser, _: &Context) -> Result<FindUser, Failure> {
        Ok(request)
    }
}

fn main() {
    let _ = user::app(Service);
}
