-- Whether a session holds that advisory lock now, in this database. A driver that showed itself before a crash of the server and renews its
-- lease after it has no session at that moment: what is not held is not written down, and is then no evidence.
-- Called by whoever takes or renews a lease, and by driver_gone.

create function presence_held(presence bigint) returns boolean
language sql
stable
as $$
    select exists (
        select from pg_locks
        where locktype = 'advisory'
          and objsubid = 1
          and granted
          and database = (select oid from pg_database where datname = current_database())
          and classid::bigint = (presence >> 32) & 4294967295
          and objid::bigint = presence & 4294967295
    )
$$;

create or replace function driver_gone(lease run_leases, managed boolean) returns boolean
language sql
stable
as $$
    select case
        when lease.owner is null then true
        when lease.renewed_at < pg_postmaster_start_time() then
            managed or pg_postmaster_start_time() + (lease.expires_at - lease.renewed_at) < now()
        else lease.expires_at < now() or (lease.presence is not null and not presence_held(lease.presence))
    end
$$;
