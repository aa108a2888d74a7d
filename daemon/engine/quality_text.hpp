// The text that `auto` tests KV formats on: prose, dialogue, instructions, a list, numbers and
// code, about 700 tokens.
#pragma once

#include <string_view>

namespace kvasir {

inline constexpr std::string_view kQualityText =
    R"(The ferry left the island at six every morning, and Marta had never once been late for it. She stood on the wet planks with a
basket of eggs under one arm and watched the fog come apart over the water. "You are early again," said the ferryman, who was
called Jonas and who said this every day. "And you are slow again," said Marta, which was her part of it. They had been saying
these two things to each other for eleven years, and neither of them would have known how to begin a morning without them.

That day, however, there was a third passenger. He sat on a crate at the end of the pier, in a coat too good for the weather, and
he was drawing something in a small grey notebook. When the boat came alongside he shut the book and asked how much it cost to
cross. "Two coins," said Jonas, "or a story, if it is a good one." The stranger thought about it for so long that the rope went
slack. "I have a story," he said at last, "but I do not yet know how it ends, and I was told that the end of it lives on your side
of the water."

To repair a leaking tap, first close the main valve and open the tap until no more water runs. Remove the screw under the cap,
lift off the handle, and turn the nut to the left with a wrench. Take out the old washer and put a new one of the same size in its
place. Then put everything back in the opposite order and open the valve slowly. If the tap still drips, the seat is worn and must
be ground or replaced.

What we need for the journey:
1. three loaves of bread and a wheel of cheese
2. a map of the northern valleys, printed after 1987
3. 40 metres of rope, 12 millimetres thick
4. warm clothes, because the nights are cold above 2,000 metres

def mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values) if values else 0.0

The committee met on 14 March and again on 2 April. Of the 312 households that were asked, 268 answered; 171 were in favour of the
new road, 64 were against it, and 33 had no opinion. The engineer explained that the bridge could carry forty tonnes, that the
work would take nine months, and that the school bus would have to use the old road until autumn. Nobody objected to the bridge.
Everybody objected to the nine months. In the end it was decided to ask for a second offer and to meet again in June, when the
days are longer and people, as the chairwoman remarked, are generally more reasonable.

The river remembers every boat that crosses it. In winter, when the ice is thick, children walk over to the other side and come
home with stories about the lights they saw in the windows of the empty mill. Their grandparents laugh and tell them to eat their
soup. But after dark the grandparents stand at their own windows for a long time, and they look across the water, and they count
the lights, and they never tell anybody how many there are.
)";

}  // namespace kvasir
