// A hook that returns something else than nothing or a result.
//~ is not a hook for `Event`
//~ either returns nothing or a `Result<(), _>`

pub fn builder() -> tenantry::ManagerBuilder {
    tenantry::TenantManager::builder("postgres://localhost").on_event(|_: tenantry::Event| 1)
}
