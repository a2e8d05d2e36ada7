//! The service of `specs/numbers.yaml` as a Python module, for the Python server of a broker. As the measured process of
//! `throughput` it says what so many messages took, and ends.

use std::{env, error::Error, io::Write as _, process, time::Duration};

use amgi_bench_measured::{Meter, Service, numbers};

amgi_python::module!("numbers_service", || {
    Ok(amgi_python::App::new(numbers::DOCUMENT, || numbers::app_with(start)))
});

/// Counts `MESSAGES`, with handlers that take `PAUSE` seconds each.
async fn start() -> Result<Service, Box<dyn Error + Send + Sync>> {
    let pause = env::var("PAUSE").unwrap_or_default().parse().unwrap_or(0.0);
    let pause = (pause > 0.0).then(|| Duration::from_secs_f64(pause));
    let meter = Meter::new(env::var("MESSAGES")?.parse()?, pause);
    meter.may_miss_some();
    tokio::spawn(end(meter.clone()));
    Ok(Service(meter))
}

async fn end(meter: Meter) {
    meter.stop().requested().await;
    let taken = serde_json::to_string(&meter.taken()).unwrap_or_default();
    // Without a reader there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{taken}");
    process::exit(0);
}
