// `?` on an error that is neither of the database nor of the library.
//~ error[E0277]: `?` couldn't convert the error to `DbError`

use tenantry_actix::DbError;

pub async fn handler() -> Result<String, DbError> {
    Ok(std::fs::read_to_string("plans.txt")?)
}
