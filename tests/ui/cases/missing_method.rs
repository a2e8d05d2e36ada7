use amgi::{Context, Failure};
use amgi_ui_tests::user::*;

struct Users;

impl UserCreatedHandler for Users {
    type Error = Failure;
    async fn on_user_created(&self, _message: UserCreated, _cx: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

impl UserEventsHandler for Users {
    type Error = Failure;
    async fn on_user_renamed(&self, _channel: UserEvents, _message: UserRenamed, _cx: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

impl UserFindHandler for Users {
    type Error = Failure;
    async fn find_user(&self, _request: FindUser, _cx: &Context) -> Result<UserFound, Failure> {
        Ok(UserFound { payload: types::UserFoundPayload { user: None } })
    }
}

fn main() {
    let _ = app(Users);
}
