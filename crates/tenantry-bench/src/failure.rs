/// Why a benchmark could not be run. A missed target is none.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
