// The handle is of a request; it is not the application's data.
//~ error[E0277]

use actix_web::{App, web};
use tenantry_actix::TenantDb;

async fn count(db: TenantDb) -> String {
    db.tenant().id().to_string()
}

pub fn app() {
    let _ = App::new().route("/", web::get().to(count));
}
