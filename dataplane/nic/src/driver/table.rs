//! The table. A new driver is one entry here.

use super::{Driver, Merging, Share, ZeroCopy};
use crate::host::KernelVersion;

/// The oldest kernel that Weir runs on: what is older began before it.
const ALWAYS: KernelVersion = KernelVersion(6, 1);

/// A driver about which nothing special is known beyond native XDP.
const PLAIN: Driver = Driver {
    name: "",
    native: true,
    zero_copy: ZeroCopy::Never,
    share: Share::All,
    pairs_only: false,
    transmit_needs_program: false,
    attaching_adds_queues: false,
    attaching_restarts: false,
    numbers_of_channels_since: None,
    mtu_most: None,
    merging: Merging::Never,
    buffers_of_whole_kib: false,
    strips_tags: false,
    remark: "",
};

/// Intel's cards have much in common: rings are built anew when a program comes or goes, wake-ups fail without one, and
/// two tags and a checksum are counted to the frame (`mtu + 26 <= 3072`).
const INTEL: Driver = Driver {
    zero_copy: ZeroCopy::Since(ALWAYS, ""),
    transmit_needs_program: true,
    attaching_restarts: true,
    mtu_most: Some(3046),
    strips_tags: true,
    ..PLAIN
};

pub(super) const DRIVERS: &[Driver] = &[
    // ethernet/intel/i40e: i40e_xsk_wakeup, i40e_xdp_setup, i40e_vlan_stripping_enable.
    Driver {
        name: "i40e",
        ..INTEL
    },
    // ethernet/intel/ice: ice_xsk_wakeup, ice_max_xdp_frame_size; its queues for XDP are one for each processor.
    Driver {
        name: "ice",
        merging: Merging::Ended,
        remark: "stop traffic before the gateway ends: taking a program off under load has hung this driver",
        ..INTEL
    },
    // ethernet/intel/ixgbe: ixgbe_xsk_wakeup; ixgbe_xdp_setup refuses LRO, SR-IOV and DCB, and counts one tag;
    // ixgbe_configure_srrctl writes whole KiB for the 82599.
    Driver {
        name: "ixgbe",
        mtu_most: Some(3050),
        merging: Merging::Refused,
        buffers_of_whole_kib: true,
        remark: "a program is refused while virtual functions (SR-IOV) or DCB are on",
        ..INTEL
    },
    // ethernet/intel/igb: igb_xsk.c is not in 6.12 and came with 6.14; igb_xsk_wakeup, igb_change_mtu. Its buffers were
    // seen in bench/vm/zero-copy: of 2 KiB chunks, frames beyond 1 KiB arrive in two pieces.
    Driver {
        name: "igb",
        zero_copy: ZeroCopy::Since(KernelVersion(6, 14), ""),
        buffers_of_whole_kib: true,
        remark: "much traffic for the kernel on the same queues can exhaust the receive rings",
        ..INTEL
    },
    // ethernet/intel/igc: igc_xsk_wakeup; jumbo frames are refused with XDP (igc_change_mtu, igc_xdp_set_prog);
    // IGC_SRRCTL_BSIZEPKT is in KiB.
    Driver {
        name: "igc",
        mtu_most: Some(1500),
        buffers_of_whole_kib: true,
        ..INTEL
    },
    // ethernet/mellanox/mlx5/core: mlx5e_xsk_wakeup needs a program (mlx5e_xdp_is_active), mlx5e_xdp_allowed refuses
    // LRO and HW GRO, mlx5e_xdp_max_mtu. Commit 3db4c85cde7a numbers zero-copy queues from 0: in 6.1's en/xsk/pool.h
    // and later, not before.
    Driver {
        name: "mlx5_core",
        zero_copy: ZeroCopy::Since(ALWAYS, ""),
        transmit_needs_program: true,
        attaching_restarts: true,
        numbers_of_channels_since: Some(ALWAYS),
        mtu_most: Some(3498),
        merging: Merging::Refused,
        strips_tags: true,
        ..PLAIN
    },
    // virtio_net.c: 6.12 receives without copying and cannot transmit so, and therefore does not announce
    // NETDEV_XDP_ACT_XSK_ZEROCOPY; 6.13 does (commit 37e0ca657a3d). virtnet_xsk_pool_enable wants a device for DMA
    // (virtqueue_dma_dev), which needs VIRTIO_F_ACCESS_PLATFORM. virtnet_xdp_set adds a queue pair for each processor
    // where there are as many to spare, and switches merging off where the host lets it
    // (VIRTIO_NET_F_CTRL_GUEST_OFFLOADS).
    Driver {
        name: "virtio_net",
        zero_copy: ZeroCopy::Since(
            KernelVersion(6, 13),
            "the hypervisor must offer VIRTIO_F_ACCESS_PLATFORM (QEMU: disable-legacy=on,iommu_platform=on)",
        ),
        attaching_adds_queues: true,
        remark: "its channels cannot be changed while a program is attached: stop the gateway for ethtool -L",
        mtu_most: Some(3506),
        merging: Merging::Ended,
        ..PLAIN
    },
    // ethernet/amazon/ena: ena_xdp_legal_queue_count, ENA_XDP_MAX_MTU; no XDP_SETUP_XSK_POOL.
    Driver {
        name: "ena",
        share: Share::Half,
        attaching_restarts: true,
        mtu_most: Some(3498),
        ..PLAIN
    },
    // ethernet/google/gve: gve_xsk_wakeup; gve_verify_xdp_configuration (6.12: verify_xdp_configuration) wants pairs, at
    // most half of them, no HW GRO, and 2 KiB buffers. Zero-copy with the queue format GQI-QPL in 6.12, DQO-RDA later.
    Driver {
        name: "gve",
        zero_copy: ZeroCopy::Since(
            KernelVersion(6, 4),
            "until kernel 6.12 only with the queue format GQI-QPL, and not on machine types with DQO",
        ),
        share: Share::Half,
        pairs_only: true,
        transmit_needs_program: true,
        attaching_restarts: true,
        mtu_most: Some(2032),
        merging: Merging::Refused,
        ..PLAIN
    },
    // ethernet/broadcom/bnxt: bnxt_xdp_set wants shared rings and a transmit ring more for each that receives,
    // BNXT_MAX_PAGE_MODE_MTU; LRO and HW GRO end by bnxt_set_rx_skb_mode; no XDP_SETUP_XSK_POOL.
    Driver {
        name: "bnxt_en",
        pairs_only: true,
        attaching_restarts: true,
        mtu_most: Some(3500),
        merging: Merging::Ended,
        strips_tags: true,
        remark: "each queue takes a transmit ring more for XDP: fewer channels where a program is refused",
        ..PLAIN
    },
    // vmxnet3: VMXNET3_XDP_MAX_MTU; vmxnet3_xdp_set ends LRO; vmxnet3_xdp.c is not in 6.1 and came with 6.6.
    Driver {
        name: "vmxnet3",
        mtu_most: Some(3492),
        merging: Merging::Ended,
        strips_tags: true,
        remark: "programs run in generic mode before kernel 6.6",
        ..PLAIN
    },
    // hyperv: netvsc_bpf.c.
    Driver {
        name: "hv_netvsc",
        merging: Merging::Refused,
        remark: "with accelerated networking, packets come by the virtual function: its driver counts",
        ..PLAIN
    },
    // veth.c: veth_xdp_set wants as many queues here as the other end transmits on, and that end's MTU small enough. A
    // tag that the sender left to the device is not in the frame (veth_xdp_rx_vlan_tag reads it from the packet).
    Driver {
        name: "veth",
        mtu_most: Some(3506),
        strips_tags: true,
        remark: "an XDP program wants as many queues to receive here as the other end transmits on",
        ..PLAIN
    },
    // tun.c: tun_xdp for TAP alone; TUN carries no Ethernet frames.
    Driver { name: "tap", ..PLAIN },
    Driver {
        name: "tun",
        native: false,
        ..PLAIN
    },
    // Devices of software that has no ndo_bpf, by the names that they give themselves.
    Driver {
        name: "bridge",
        native: false,
        ..PLAIN
    },
    Driver {
        name: "802.1Q VLAN Support",
        native: false,
        ..PLAIN
    },
    Driver {
        name: "macvlan",
        native: false,
        ..PLAIN
    },
    Driver {
        name: "dummy",
        native: false,
        ..PLAIN
    },
];
