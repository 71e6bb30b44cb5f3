-- What the announcing functions compare are the rows of one statement before and after it: from a few up to a thousand. Their plans are
-- made once, mostly for a few, and comparing each with each would then take a thousand times a thousand steps.
alter function announce_units() set enable_nestloop = off;
alter function announce_runs() set enable_nestloop = off;
