//! AWS Lambda: `amgi-lambda` under real runtime APIs.

mod template;
