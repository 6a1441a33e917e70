-- What wrk sends, and what it says at the end.
--
--   wrk ... -s load.lua URL [-- BYTES]     with BYTES, each request is a POST of so many
--
-- The request is made once, before the load begins, so the script costs nothing while it runs.

function init(args)
    local bytes = tonumber(args[1])
    if bytes then
        wrk.method = "POST"
        wrk.body = string.rep("x", bytes)
        wrk.headers["Content-Type"] = "application/octet-stream"
    end
end

-- One line of JSON. Times are in microseconds.
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "non_2xx": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
