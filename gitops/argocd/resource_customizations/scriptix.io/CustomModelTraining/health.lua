-- What the operator says of an older spec says nothing of this one; -1: it has said nothing yet.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to look at the resource"}
end

-- Stalled outranks Succeeded: a resource with a field that the operator cannot read asks for what is
-- not done, also if its last run has succeeded. At most one of the others is the case.
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
