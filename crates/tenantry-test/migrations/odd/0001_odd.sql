-- Columns with the names that a query may give to rows and texts.
create table notes (id int primary key, r int, t text, o text, whole text, secret text);

-- What is inserted here is not there.
create table swallowed (id int);
create rule nothing as on insert to swallowed do instead nothing;

-- What is inserted here is in upper case.
create table shouted (name text);
create function shout() returns trigger language plpgsql as $$
begin
    new.name := upper(new.name);
    return new;
end
$$;
create trigger shout before insert on shouted for each row execute function shout();
