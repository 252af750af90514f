"""The JSON Schema of a mapping file, for editors. ``python -m koppel.mapping.schema`` prints it.

It knows keys, kinds of values and their descriptions; what has to fit together is checked at loading.
"""

from __future__ import annotations

import json
from typing import Any

from koppel.document import json_schema
from koppel.mapping.load import LOADED, MappingFile

_OTHERWISE = "What becomes of a value that the step can do nothing with: it fails the record, is emptied, or kept."
_PATTERN = "How the date is written, such as dd-MM-yyyy."
_CULTURE = "Culture by which it is written, such as nl-NL."

STEPS = {
    "TitleCase.culture": "Culture whose letters count, such as tr-TR.",
    "Substring.start": "Position of the first character, from 1.",
    "Substring.after": "Text after which the substring starts.",
    "Substring.length": "How many characters.",
    "Substring.before": "Text before which the substring ends.",
    "Replace.find": "Text to replace, wherever it occurs.",
    "Replace.by": "What takes its place.",
    "ReplacePattern.pattern": "Regular expression, without regard to case.",
    "ReplacePattern.by": "What takes the place of each match; \\1 is its first group.",
    "MatchPattern.pattern": "Regular expression, without regard to case; its groups are kept.",
    "ParseDate.format": _PATTERN,
    "ParseDate.culture": _CULTURE,
    "ParseDate.otherwise": _OTHERWISE,
    "FormatDate.format": _PATTERN,
    "FormatDate.culture": _CULTURE,
    "ParseDateTime.format": _PATTERN,
    "ParseDateTime.culture": _CULTURE,
    "ParseDateTime.otherwise": _OTHERWISE,
    "FormatDateTime.format": _PATTERN,
    "FormatDateTime.culture": _CULTURE,
    "ParseDecimal.culture": _CULTURE,
    "ParseDecimal.otherwise": _OTHERWISE,
    "FormatDecimal.culture": _CULTURE,
    "Round.precision": "Multiple to round to, such as 0.01.",
    "Round.direction": "To the nearest multiple, up (away from zero) or down (towards zero).",
    "Extract.part": "Part of the date.",
    "MapValues.values": "What becomes of which value.",
    "MapValues.rest": "What becomes of every other value; without it that fails the record.",
    "LookUp.table": "Table to look in.",
    "LookUp.where": "Column that holds the value.",
    "LookUp.take": "Column to take.",
    "LookUp.side": "System of the table.",
    "LookUp.otherwise": _OTHERWISE,
    "Call.function": "Python function, as `module:function`.",
}
"""A sentence for each setting of a step; that which names the step is added."""
STEPS |= {f"{name}.do": "What the step does." for name in {key.partition(".")[0] for key in STEPS}}

DESCRIPTIONS = {
    "MappingFile.mapping": "Name of the mapping, by which commands, lookups and other mappings call it.",
    "MappingFile.caption": "Name for people, in lists and pages.",
    "MappingFile.schedule": "When the mapping runs by itself.",
    "MappingFile.wake_on_events": "false: a change that a system tells of does not start a run.",
    "Schedule.every": "Minutes from one run to the next, or a cron expression in UTC, such as '0 6 * * mon-fri'.",
    "Schedule.inactivity": "Minutes on hold after a run without changes, unless a change wakes it; 0: never on hold.",
    "Schedule.hold": "true: on hold until somebody resumes it.",
    "Schedule.queue": "In which queue the mapping waits for a worker (`koppel worker --queues`).",
    "MappingFile.enabled": "false: the mapping is off, every run leaves it out.",
    "MappingFile.instead_of": "Mapping whose place this one takes: one of the two is on.",
    "MappingFile.overrides": "`standard`: this file replaces the standard mapping of the same name.",
    "MappingFile.kind": "`records` pairs records; `options` pairs codes with the options of a choice column.",
    "MappingFile.business_central": "The table of Business Central.",
    "MappingFile.dataverse": "The table of Dataverse.",
    "MappingFile.direction": "Where changes go. Fields may narrow it, not widen it.",
    "MappingFile.only_coupled": "true: a run creates nothing, it keeps coupled records in step. A full one creates.",
    "MappingFile.depends_on": "Mappings that run before this one.",
    "MappingFile.brings": "Mappings whose records are synchronised on the fly when one here refers to them.",
    "MappingFile.coupled_in": "Mapping in which a record of Business Central has to be coupled to take part here.",
    "MappingFile.goes_with": "Mapping after which this one runs, too: the lines of a list.",
    "MappingFile.fixed_filters": "true: a file that overrides this one keeps its filters.",
    "MappingFile.part_of": "Mapping whose records these are parts of: lines of a document, sent with it.",
    "MappingFile.conflicts": "Who wins where both sides changed a field differently; `ask` holds it for a person.",
    "MappingFile.deletions": "What becomes of a pair of which one record was deleted.",
    "MappingFile.left_filter": "What becomes of a pair of which one record leaves the filter. It is told in any case.",
    "MappingFile.drift": "What becomes of an edit on the receiving side of a one-way field.",
    "MappingFile.initial": "The side that wins where records are newly coupled and differ.",
    "MappingFile.match": "Groups of column pairs that tell which records are the same one; tried in order.",
    "MappingFile.create_unmatched": "Whether a full synchronisation creates what no record matches.",
    "MappingFile.ignore_integration_user": "true: what the connection's own user edited last is not read back.",
    "MappingFile.parameters": "Values for the rules of this mapping.",
    "MappingFile.rules": "Rules that act on whole records.",
    "MappingFile.brakes": "When a run of this mapping stops before it writes, instead of what koppel.yaml says.",
    "MappingFile.fields": "The pairs of columns.",
    "MappingFile.when_on": "What is different while another mapping is on, by the name of that mapping.",
    "Variant.rules": "Rules that take the place of the mapping's own of their kind.",
    "Variant.fields": "Pairs that take the place of the mapping's own with the same column of Dataverse.",
    "Endpoint.table": "Entity set, with its route where it is another one, or logical name (Dataverse).",
    "Endpoint.key": "Column that names a record to people, and by which lookups find it.",
    "Endpoint.filter": "OData filter: the records that take part.",
    "Endpoint.new": "OData filter: which of the records that nobody coupled yet take part; `none`: none of them.",
    "Endpoint.known_by": "Column by which a record that Koppel created here is found again, where it got no id.",
    "Endpoint.order": "Column by whose values parts are sent: lines in their order.",
    "Endpoint.create": "Values that every record gets which Koppel creates here.",
    "Endpoint.templates": "Values for new records here, depending on the record that they are created for.",
    "Endpoint.also": "Choice columns of other tables that get the same options, as `table.column`.",
    "Endpoint.reopen": "Values that open a closed record before it is changed; it is closed again with the change.",
    "Endpoint.deactivate": "Values for a record here whose partner left the filter (`left_filter: deactivate`).",
    "Template.values": "Values by column.",
    "Template.filter": "OData filter on the record of the other side; without it, every one.",
    "Template.priority": "Of several templates that fit, the one with the smallest number counts.",
    "Template.overwrite": "true: these values go before mapped ones.",
    "Limits.deletions": "Records that a run may delete.",
    "Limits.changes_percent": "Percent of the couplings that a run may change or take apart.",
    "Endpoint.watch": "Other tables of this side whose changed rows are changes of the records they belong to.",
    "Watch.table": "The other table.",
    "Watch.column": "Its column that holds what `key` of the record does. Without it a row belongs to every record.",
    "Watch.key": "Column of the record, or `id`. Without it the `key` of the table.",
    "Endpoint.column": "With `kind: options`: the choice column of Dataverse whose options are coupled.",
    "Lookup.mapping": "Name of the mapping whose records are referred to.",
    "Lookup.by": "What Business Central's column holds: the other record's `key`, its `id`, or a rule that knows.",
    "Lookup.clear": "true: a reference that is not coupled empties the field until it is.",
    "Lookup.required": "true: a reference that is not coupled holds the whole record; a direction: only that way.",
    "FieldMapping.business_central": "Column of Business Central, by its name in the API.",
    "FieldMapping.dataverse": "Column of Dataverse: logical name; of a lookup, the navigation property.",
    "FieldMapping.direction": "Where changes of this field go; without it, where the mapping goes.",
    "FieldMapping.enabled": "false: the field stays out of the synchronisation.",
    "FieldMapping.constant": "Value to write, instead of one that is read; with both columns, where that is blank.",
    "FieldMapping.compute": "Rule that supplies the value, as `module.function`.",
    "FieldMapping.code": "A code of Business Central: outer blanks and case do not count.",
    "FieldMapping.lookup": "The field refers to a record of another mapping.",
    "FieldMapping.options": "Option mapping that translates the code into the choice's integer.",
    "FieldMapping.on_locked": "What a change does in a column that takes none any more: keep it, or fail the record.",
    "FieldMapping.on_missing": "What an option that is not coupled does: leave the field empty, or fail the record.",
    "FieldMapping.keep_blank": "true: a blank never overwrites a value.",
    "FieldMapping.last": "true: written once all parts of the record are there, or after its creation.",
    "FieldMapping.resend": "true: sent to Business Central with any other field of its `group`.",
    "FieldMapping.required": "true: a record whose blank would have to be written is held instead.",
    "FieldMapping.to_dataverse": "Steps that a value goes through on its way to Dataverse.",
    "FieldMapping.from_dataverse": "Steps that a value goes through on its way to Business Central.",
    "FieldMapping.lossy": "true: the steps may lose something, on a field that goes both ways.",
    "FieldMapping.group": "Fields of one group merge as one value, such as an address.",
    "FieldMapping.drift": "What becomes of an edit on the side that only receives, instead of the mapping's `drift`.",
    "FieldMapping.policy": "Who wins a conflict in this field, instead of the mapping's `conflicts`.",
    **STEPS,
    "MatchPair.business_central": "Column of Business Central.",
    "MatchPair.dataverse": "Column of Dataverse.",
    "MatchPair.case": "Whether capitals count.",
    "MatchPair.normalise": "What else does not count: accents, punctuation, company forms (Inc, Ltd), all but digits.",
    "Hooks.refuse": "Rules that keep a record from being synchronised, with a reason.",
    "Hooks.complete": "Rules that add what a new record needs.",
    "Hooks.succeed": "Rules that say which coupled record a new one takes the place of.",
    "Hooks.precede": "Rules that plan writes that must come before a record's own.",
    "Hooks.follow": "Rules that plan further writes after one.",
    "Hooks.uncouple": "Rules that plan what is written to a record before it is uncoupled.",
    "Hooks.gone": "Rules that plan what is written to a record whose partner was deleted, before it is uncoupled.",
}


def mapping_schema() -> dict[str, Any]:
    """The schema, as it stands in ``koppel-mapping.schema.json``."""
    return json_schema(MappingFile, "A table mapping of Koppel", DESCRIPTIONS, hidden=LOADED)


if __name__ == "__main__":
    print(json.dumps(mapping_schema(), indent=2))
