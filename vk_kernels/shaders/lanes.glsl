// Lanes of a workgroup hand values to each other. put() offers a lane's value in a slot, ready() makes all offers
// visible, get() reads any lane's. With KVASIR_SUBGROUP_SHUFFLE or KVASIR_CPU_LANES the workgroup is one subgroup and values stay in
// registers; without, they pass through shared memory. Slots must be constants after unrolling.
// Include after kLanes and kSlots are declared.
#if defined(KVASIR_SUBGROUP_SHUFFLE) || defined(KVASIR_CPU_LANES)
#define LANES_SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define LANE gl_SubgroupInvocationID
float offered[kSlots];
void put(uint slot, float value) { offered[slot] = value; }
void ready() {}
float get(uint slot, uint lane) { return subgroupShuffle(offered[slot], lane); }
#else
#define LANE gl_LocalInvocationID.x
shared float offered[kSlots][kLanes];
bool offering = false;
void put(uint slot, float value) {
    if (!offering) barrier();  // nobody may still be reading the offers before these
    offering = true;
    offered[slot][LANE] = value;
}
void ready() {
    barrier();
    offering = false;
}
float get(uint slot, uint lane) { return offered[slot][lane]; }
#endif
