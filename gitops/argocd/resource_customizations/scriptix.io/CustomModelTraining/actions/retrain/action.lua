-- A value not used before requests one more run; two clicks in one second request one.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["scriptix.io/requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
