#version 450
#extension GL_GOOGLE_include_directive : require
// One workgroup: all pairs of a step. A thread counts and lists the pairs of its experts, in order.
#include "vk_kernels/shared/experts.h"

layout(local_size_x_id = kGroupSpecThreads) in;
layout(push_constant) uniform Push { GroupExpertsPush pc; };
layout(binding = kGroupExperts) readonly buffer Experts { uint experts[]; };
layout(binding = kGroupRoutes) writeonly buffer Routes { uint routes[]; };

shared uint n_rows[kMaxExperts];
shared uint first_row[kMaxExperts];
shared uint first_tile[kMaxExperts];
shared uint n_tiles;

void put_tile(uint tile, uint expert, uint first, uint n) {
    routes[tile * kRouteTileWords] = expert;
    routes[tile * kRouteTileWords + 1] = first;
    routes[tile * kRouteTileWords + 2] = n;
}

void main() {
    const uint thread = gl_LocalInvocationID.x;
    const uint n_threads = gl_WorkGroupSize.x;
    for (uint e = thread; e < pc.n_experts; e += n_threads) {
        uint n = 0;
        for (uint i = 0; i < pc.n_pairs; ++i) n += experts[i] == e ? 1 : 0;
        n_rows[e] = n;
    }
    barrier();
    if (thread == 0) {
        uint row = pc.n_tiles * kRouteTileWords;
        uint tile = 0;
        for (uint e = 0; e < pc.n_experts; ++e) {
            first_row[e] = row;
            first_tile[e] = tile;
            row += n_rows[e];
            tile += (n_rows[e] + pc.tile_tokens - 1) / pc.tile_tokens;
        }
        n_tiles = tile;
    }
    barrier();
    for (uint e = thread; e < pc.n_experts; e += n_threads) {
        uint row = first_row[e];
        for (uint i = 0; i < pc.n_pairs; ++i)
            if (experts[i] == e) routes[row++] = i;
        for (uint done = 0; done < n_rows[e]; done += pc.tile_tokens)
            put_tile(first_tile[e] + done / pc.tile_tokens, e, first_row[e] + done, min(pc.tile_tokens, n_rows[e] - done));
    }
    for (uint tile = n_tiles + thread; tile < pc.n_tiles; tile += n_threads) put_tile(tile, 0, 0, 0);
}
