-- What Rails' last migration does. It has not come to every customer.
alter table projects add archived_at timestamp(6) without time zone;
