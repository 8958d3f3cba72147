"""Names for the built-in corpus in the spelling of Ego4D: verbs with synonyms, labels with quotes and commas."""

from __future__ import annotations

# In order of popularity.
VERBS = (
    "take_(pick,_grab,_get)", "put_(place,_leave,_drop)", "cut_(trim,_slice,_chop)", "hold_(support,_grip,_grasp)",
    "move_(transfer,_pass,_exchange)", "open", "clean_(sweep,_scrub,_mop,_dust)",
    "turn_(spin,_rotate,_flip,_turn_over)", "close", "adjust_(regulate,_increase/reduce,_change)", "touch", "pour",
    "inspect_(check,_look,_examine,_view)", "remove_(detach,_extract,_take_out)", "shake",
    "attach_(plug-in,_join,_fasten)", "carry", "fold", "press_(hold_down)", "peel_(skin)", "lift", "break",
    "point_(show)", "fill", "wave", "unscrew_(unbolt)", "climb", "tear_(split,_rip)",
)  # fmt: skip

# Of these, the verbs that change the state of things.
CHANGING = frozenset((
    "cut_(trim,_slice,_chop)", "open", "clean_(sweep,_scrub,_mop,_dust)", "close", "pour",
    "remove_(detach,_extract,_take_out)", "attach_(plug-in,_join,_fasten)", "fold", "peel_(skin)", "break", "fill",
    "unscrew_(unbolt)", "tear_(split,_rip)",
))  # fmt: skip

NOUNS = (
    "hand_(finger,_palm,_thumb)", "container_(box,_jar,_bottle)", "knife_(blade,_cutter)",
    "cloth_(fabric,_garment,_towel)", "table_(counter,_desk)", "wood_(plank,_log,_timber)", "plate_(dish,_saucer)",
    "dough", "paper_(sheet,_card)", "water", "plant_(flower,_herb)", "tap_(faucet)", "bowl", "paint", "drawer",
    "screw_(bolt,_nail)", "onion", "brush_(broom)", "lid_(cap,_cover)", "rope_(string,_thread)", "spoon_(ladle)",
    "pot_(pan)", "soil_(mud)", "door", "leaf", "bag_(sack)", "drill_(machine)", "apple", "hammer_(mallet)",
    "stone_(brick)", "scissors", "needle", "ladder", "glove_(mitten)", "bucket", "bread",
)  # fmt: skip

# Moments that last: what somebody is busy with.
ACTIVITIES = (
    '"clean_/_wipe_a_table,_counter_or_surface"', "cut_dough", '"wash_dishes,_utensils_or_cookware"',
    "knit_/_sew_cloth", "saw_/_cut_wood", '"trim_hedges,_branches_or_grass"', "paint_a_wall",
    '"hang,_fold_or_iron_clothes"', "stir_food_in_a_pot", "dig_/_till_the_soil",
    '"arrange_/_sort_tools,_parts_or_boxes"', "water_the_plants", "read_a_book", "climb_a_ladder",
)  # fmt: skip

# Moments that come with an action and pass.
TRIGGERED = (
    "use_phone", '"turn_on_a_tap,_switch_or_stove"', "close_the_fridge", '"pick_up_a_tool,_part_or_screw"',
    "throw_away_trash", '"smell,_taste_or_eat_food"', "rinse_hands", "drink_beverage", "put_on_gloves", "write_notes",
    "open_a_drawer", "look_in_a_mirror", "talk_to_someone", "count_money",
)  # fmt: skip
