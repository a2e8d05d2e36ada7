//! Every case fails on a server that breaks its promise.

use std::sync::Arc;

use amgi_conformance::{Ability, CASES, check};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::model::{Fault, Model, TOGETHER};

/// What each case notices.
const NOTICED: &[(&str, &[Fault])] = &[
    (
        "a_scope_is_the_message",
        &[
            Fault::OtherAddress,
            Fault::LosesBindings,
            Fault::BindsTwice,
            Fault::LosesState,
            Fault::UndeclaredExtension,
            Fault::CutsPayloads,
        ],
    ),
    ("a_send_is_the_message", &[Fault::LosesBindingsOut]),
    ("headers_arrive_in_order", &[Fault::LosesHeaders, Fault::LosesHeadersOut, Fault::SortsHeaders]),
    ("headers_repeat_in_order", &[Fault::SortsHeaders, Fault::OneHeaderEach]),
    ("headers_hold_any_bytes", &[Fault::TextHeaders]),
    ("a_payload_may_be_empty", &[Fault::EmptyIsAbsent]),
    ("a_payload_may_be_absent", &[Fault::AbsentIsEmpty]),
    ("a_payload_may_be_any_bytes", &[Fault::TextPayload]),
    ("a_payload_may_be_large", &[Fault::CutsLargePayloads]),
    ("parameters_are_matched", &[Fault::FiltersNothing, Fault::OtherAddress]),
    ("an_acknowledgement_follows_the_handler", &[Fault::AcksEarly]),
    ("what_is_acknowledged_is_over", &[Fault::AcksNothing]),
    ("messages_wait_for_the_server", &[Fault::ForgetsItsQueue]),
    ("what_nobody_settles_is_not_acknowledged", &[Fault::AcksUnsettled]),
    ("what_is_nacked_comes_again", &[Fault::AcksNacked]),
    ("what_is_nacked_lets_others_pass", &[Fault::NackBlocks]),
    ("a_batch_settles_each_message", &[Fault::BatchesOfOne, Fault::BatchesOfAll, Fault::BatchIsAllOrNothing]),
    ("a_failure_is_tried_again", &[Fault::NeverRetries, Fault::RetriesAtOnce, Fault::OvertakesRetries]),
    ("a_panic_is_a_failure", &[Fault::PanicsToo, Fault::NeverRetries]),
    ("a_handler_that_hangs_is_timed_out", &[Fault::NeverTimesOut]),
    (
        "what_keeps_failing_is_dead_lettered",
        &[Fault::NoDeadLetters, Fault::NeverRetries, Fault::KeepsDeadLettered, Fault::SendsTwice],
    ),
    ("a_dead_letter_says_why", &[Fault::LosesHeadersOut, Fault::LosesHeaders]),
    ("what_does_not_fit_is_dead_lettered_at_once", &[Fault::RetriesRejected, Fault::IgnoresTheDocument]),
    ("what_is_discarded_is_over", &[Fault::DeadLettersDiscarded]),
    ("a_dead_letter_that_is_refused_loses_nothing", &[Fault::AcksNacked, Fault::IgnoresRefusals]),
    ("a_send_that_returned_is_in_the_brokers_hands", &[Fault::SendsLater]),
    ("many_sends_at_once_all_arrive", &[Fault::SendsTwice, Fault::SendsLose]),
    ("a_refused_send_is_an_error", &[Fault::IgnoresRefusals, Fault::StopsAtRefusals]),
    ("a_send_without_a_broker_is_an_error", &[Fault::SendsWithoutBroker, Fault::SendsHang]),
    ("a_handler_can_wait_for_a_reply", &[Fault::RepliesWait, Fault::RepliesEndAtStop]),
    ("order_is_kept", &[Fault::Reorders, Fault::Overtakes]),
    ("so_many_are_handled_at_a_time", &[Fault::OneAtATime, Fault::TwiceAsMany]),
    ("a_retry_does_not_block_others", &[Fault::OneAtATime]),
    ("what_is_too_much_waits_at_the_broker", &[Fault::TakesEverything]),
    ("startup_is_first_and_shutdown_last", &[Fault::StartsTooEarly, Fault::ShutsDownTooEarly]),
    ("a_startup_that_fails_ends_the_server", &[Fault::IgnoresStartup, Fault::StartsTooEarly]),
    ("a_shutdown_that_fails_is_told", &[Fault::IgnoresShutdown]),
    ("a_stop_finishes_what_has_begun", &[Fault::StopCuts, Fault::StopGoesOn]),
    ("a_stop_does_not_wait_beyond_the_deadline", &[Fault::NoDeadline, Fault::StopCuts, Fault::DeadlineAcks]),
    ("a_broker_missing_at_startup_is_an_error", &[Fault::WaitsForTheBroker]),
    ("a_broker_that_returns_is_used_again", &[Fault::StaysAway]),
    ("instances_of_a_group_share_the_work", &[Fault::IgnoresGroups]),
];

/// Of cases that check what a server does instead: what it says that it cannot do, and does.
const CLAIMED: &[(&str, Ability)] = &[
    ("headers_arrive_in_order", Ability::Headers),
    ("headers_repeat_in_order", Ability::RepeatedHeaders),
    ("headers_hold_any_bytes", Ability::BinaryHeaders),
    ("a_payload_may_be_empty", Ability::EmptyPayload),
    ("a_payload_may_be_any_bytes", Ability::BinaryPayload),
    ("a_payload_may_be_large", Ability::LargePayload),
    ("an_acknowledgement_follows_the_handler", Ability::Redelivery),
    ("messages_wait_for_the_server", Ability::Queueing),
    ("what_nobody_settles_is_not_acknowledged", Ability::Redelivery),
    ("what_is_nacked_comes_again", Ability::Redelivery),
    ("what_is_nacked_lets_others_pass", Ability::Nack),
    ("a_batch_settles_each_message", Ability::Batches),
    ("so_many_are_handled_at_a_time", Ability::Concurrency),
    ("a_stop_finishes_what_has_begun", Ability::ImmediateStop),
    ("a_stop_does_not_wait_beyond_the_deadline", Ability::Deadline),
];

/// The case that takes much memory and time.
const HEAVY: &str = "what_is_too_much_waits_at_the_broker";

/// The cases that find nothing wrong with their models.
async fn unnoticed(models: impl IntoIterator<Item = (&'static str, Model)>) -> Vec<String> {
    let mut checks = JoinSet::new();
    // More at a time would disturb what is a matter of time.
    let slots = Arc::new(Semaphore::new(8));
    let mut models: Vec<_> = models.into_iter().collect();
    models.sort_by_key(|(case, _)| *case != HEAVY);
    for (case, model) in models {
        if case == HEAVY {
            // So would this one, in any test.
            let _alone = TOGETHER.write().await;
            assert!(check(model, case).await.is_err(), "{case}");
            continue;
        }
        let slots = slots.clone();
        checks.spawn(async move {
            let _slot = slots.acquire().await.expect("it is never closed");
            let wrong = format!("{case}: {model:?}");
            (wrong, check(model, case).await)
        });
    }
    let mut unnoticed = Vec::new();
    while let Some(checked) = checks.join_next().await {
        let (wrong, noticed) = checked.expect("a case does not panic");
        if noticed.is_ok() {
            unnoticed.push(wrong);
        }
    }
    unnoticed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_notices_what_is_wrong() {
    let models =
        NOTICED.iter().flat_map(|(case, faults)| faults.iter().map(|fault| (*case, Model::with(*fault))));
    let unnoticed = unnoticed(models).await;
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_can_do_all_the_same_is_noticed() {
    let unnoticed = unnoticed(CLAIMED.iter().map(|(case, ability)| (*case, Model::claiming(*ability)))).await;
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

#[test]
fn every_case_is_listed() {
    let listed: Vec<&str> = NOTICED.iter().map(|(case, _)| *case).collect();
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(listed, cases);
}
