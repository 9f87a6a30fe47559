/// Why a benchmark could not run. A missed target is not a failure.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
