"""What people label videos with: exports of ELAN, Label Studio and VIA as spans, and spans as a table of segments."""
