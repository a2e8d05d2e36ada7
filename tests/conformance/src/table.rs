//! The table of cases: module, function, the abilities it needs, and the promise it holds a server to.

/// Gives every row to `$then`.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($then:ident! $args:tt) => {
        $crate::$then! { $args
            scope::a_scope_is_the_message [] "address, payload, bindings, state and extensions reach the handler as they are";
            scope::a_send_is_the_message [] "payload and bindings of a send reach others as they are";
            scope::headers_arrive_in_order [Headers, HeaderOrder] "headers arrive in order, both ways";
            scope::headers_repeat_in_order [Headers, RepeatedHeaders] "headers that repeat arrive all, both ways";
            scope::headers_hold_any_bytes [Headers, BinaryHeaders] "header values that are no UTF-8 arrive, both ways";
            scope::a_payload_may_be_empty [EmptyPayload] "an empty payload arrives, both ways";
            scope::a_payload_may_be_absent [AbsentPayload] "an absent payload is told from an empty one, both ways";
            scope::a_payload_may_be_any_bytes [BinaryPayload] "a payload may be any bytes, both ways";
            scope::a_payload_may_be_large [LargePayload] "a payload of 1 MiB arrives, both ways";
            scope::parameters_are_matched [] "a channel with parameters gets what fits its address, and nothing else";
            settling::an_acknowledgement_follows_the_handler [Redelivery] "what a server had not handled when it died comes again";
            settling::what_is_acknowledged_is_over [] "what was handled does not come again";
            settling::messages_wait_for_the_server [Queueing] "what is published while the server is away is kept for it";
            settling::what_nobody_settles_is_not_acknowledged [Redelivery] "what nobody settles stays with the broker";
            settling::what_is_nacked_comes_again [Redelivery] "what is nacked comes again, until it is acknowledged";
            settling::what_is_nacked_lets_others_pass [Redelivery, Nack] "what is nacked does not hold up what is behind it";
            settling::a_batch_settles_each_message [Batches] "messages are handled in batches, and each is settled by itself";
            failures::a_failure_is_tried_again [] "a failure is tried again with growing pauses";
            failures::a_panic_is_a_failure [] "a panic is a failure like any other";
            failures::a_handler_that_hangs_is_timed_out [] "a handler that hangs is timed out";
            failures::what_keeps_failing_is_dead_lettered [] "what keeps failing is dead-lettered, and is over";
            failures::a_dead_letter_says_why [Headers] "a dead letter says what went wrong, why, where and how often";
            failures::what_does_not_fit_is_dead_lettered_at_once [] "what does not fit its schema is dead-lettered at once, where the document says";
            failures::what_is_discarded_is_over [] "what is discarded is acknowledged, and nothing else";
            failures::a_dead_letter_that_is_refused_loses_nothing [Redelivery, RefusedSends] "a message whose dead letter cannot be sent stays with the broker";
            sending::a_send_that_returned_is_in_the_brokers_hands [] "a send that returned is in the broker's hands, whatever becomes of the server";
            sending::many_sends_at_once_all_arrive [] "sends at the same time arrive all, each once";
            sending::a_refused_send_is_an_error [RefusedSends] "a send that the broker refuses is an error, and disturbs no other";
            sending::a_send_without_a_broker_is_an_error [BrokerLoss] "a send without a broker is an error, and works again when it is back";
            sending::a_handler_can_wait_for_a_reply [Replies] "a handler waits for a reply, with nothing else at a time, and during a stop";
            flow::order_is_kept [Order] "order is kept, also when several messages are handled at a time";
            flow::so_many_are_handled_at_a_time [Concurrency] "as many messages are handled at a time as asked for, and no more";
            flow::a_retry_does_not_block_others [Concurrency] "a message that waits to be tried again does not block others";
            flow::what_is_too_much_waits_at_the_broker [BackPressure] "100,000 messages wait at the broker while handlers are busy, not in memory";
            lifespan::startup_is_first_and_shutdown_last [] "startup comes before the first message, shutdown after the last is settled";
            lifespan::a_startup_that_fails_ends_the_server [] "a startup that fails ends the server, before any message is taken";
            lifespan::a_shutdown_that_fails_is_told [] "a shutdown that fails is the server's error";
            lifespan::a_stop_finishes_what_has_begun [ImmediateStop] "a stop finishes what has begun, and begins nothing new";
            lifespan::a_stop_does_not_wait_beyond_the_deadline [Deadline] "a stop does not wait for handlers beyond its deadline";
            broker::a_broker_missing_at_startup_is_an_error [BrokerLoss] "a broker that is not there at startup is an error";
            broker::a_broker_that_returns_is_used_again [BrokerLoss] "a broker that goes away and returns is used again, with all subscriptions";
            broker::instances_of_a_group_share_the_work [SharedWork] "instances of a group share the messages";
        }
    };
}

/// Makes the list of rows.
#[doc(hidden)]
#[macro_export]
macro_rules! __list {
    (() $($module:ident::$name:ident [$($needs:ident),*] $promise:literal;)*) => {
        /// Every case, in the order of the table.
        pub static CASES: &[Case] = &[
            $(Case { name: stringify!($name), promise: $promise, needs: &[$($crate::Ability::$needs),*] },)*
        ];
    };
}

/// Runs the row of that name.
#[doc(hidden)]
#[macro_export]
macro_rules! __run {
    (($case:ident $stage:ident) $($module:ident::$name:ident [$($needs:ident),*] $promise:literal;)*) => {
        match $case {
            $(stringify!($name) => Box::pin($crate::cases::$module::$name($stage)).await,)*
            other => Err($crate::stage::Broken::new(format!("there is no case `{other}`"))),
        }
    };
}

/// Makes a test of every row.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    (($subject:expr) $($module:ident::$name:ident [$($needs:ident),*] $promise:literal;)*) => {
        $(
            #[test]
            fn $name() -> ::std::result::Result<(), $crate::Broken> {
                $crate::test(stringify!($name), async { $subject })
            }
        )*
    };
}

/// A case of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    /// Its name, which is that of its test.
    pub name: &'static str,
    /// What a server promises.
    pub promise: &'static str,
    /// What a broker must be able to do for it. Where something is missing, what the server does instead is checked, as far as
    /// it can be seen.
    pub needs: &'static [crate::Ability],
}

crate::__cases!(__list!());
