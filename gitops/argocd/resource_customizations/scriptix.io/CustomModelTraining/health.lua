-- A status of an older generation does not apply to this spec; -1: no status was written yet.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to reconcile the resource"}
end

-- Stalled outranks Succeeded: a resource with an unreadable field may request another run, even if
-- its last run has succeeded. At most one of the other conditions is True.
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition.status
end
local health = "Progressing"
if conditions.Stalled == "True" then
  health = "Degraded"
elseif conditions.Succeeded == "True" then
  health = "Healthy"
elseif conditions.Suspended == "True" then
  health = "Suspended"
end
return {status = health, message = status.message or ""}
