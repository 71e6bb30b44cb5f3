-- When the driver of a run is gone. Since a restart of the server ends every session and lets nobody renew, it is no evidence: a driver
-- that has not renewed since is given as long as its lease, from the restart on. Whoever drove on a managed server before its start cannot
-- reach it any more, and is gone at once.
-- Written by whoever takes or renews a lease; read by whoever looks for a run to drive.

alter table run_leases add column renewed_at timestamptz not null default now();

create function driver_gone(lease run_leases, managed boolean) returns boolean
language sql
stable
as $$
    select case
        when lease.owner is null then true
        when lease.renewed_at < pg_postmaster_start_time() then
            managed or pg_postmaster_start_time() + (lease.expires_at - lease.renewed_at) < now()
        else
            lease.expires_at < now() or (lease.presence is not null and not exists (
                select from pg_locks
                where locktype = 'advisory'
                  and objsubid = 1
                  and granted
                  and database = (select oid from pg_database where datname = current_database())
                  and classid::bigint = (lease.presence >> 32) & 4294967295
                  and objid::bigint = lease.presence & 4294967295
            ))
    end
$$;
