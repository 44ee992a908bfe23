-- A retraining is offered after the end of a run: otherwise a second click would request a third run.
local phase = obj.status ~= nil and obj.status.phase or ""
local suspended = obj.spec.suspend == true
return {
  retrain = {
    displayName = "Train again",
    iconClass = "fa fa-fw fa-redo",
    disabled = phase ~= "Succeeded" and phase ~= "Failed",
  },
  suspend = {displayName = "Suspend", iconClass = "fa fa-fw fa-pause", disabled = suspended},
  resume = {displayName = "Resume", iconClass = "fa fa-fw fa-play", disabled = not suspended},
}
