# Process-context identifiers and what control registers refuse (SDM vol. 3A §4.10.1, vol. 2A "INVPCID").
.include "long.inc"

.set PCIDE, 0x20000
.set PAGE0, TEST_PAGES
.set FRAME0, TEST_FRAMES
.set AREA, SCRATCH+0x400

main:
    movq $FRAME0+7, PT_TEST
    TEST "PCID"
    movq %cr3, %rbx
    orq $5, %rbx
    movq %rbx, %cr3
    movq %cr4, %rax
    orq $PCIDE, %rax
    FAULT 13, 0, movq %rax, %cr4
    subq $5, %rbx
    movq %rbx, %cr3
    PASS movq %rax, %cr4
    btsq $63, %rbx
    PASS movq %rbx, %cr3
    # Bit 63 is not kept.
    movq %cr3, %rcx
    CHECK %rcx, $PML4
    movq %cr0, %rax
    btrq $31, %rax
    FAULT 13, 0, movq %rax, %cr0
    TEST "each identifier has its own translations"
    # A second PML4 whose TEST_PAGES are other frames.
    movl $PML4, %esi
    movl $0x30000, %edi
    movl $0x1000, %ecx
    rep movsb
    movl $PDPT, %esi
    movl $0x31000, %edi
    movl $0x1000, %ecx
    rep movsb
    movl $PD_USER, %esi
    movl $0x32000, %edi
    movl $0x1000, %ecx
    rep movsb
    movq $0x31007, 0x30000
    movq $0x32007, 0x31008
    movq $0x33007, 0x32800
    movq $FRAME0+0x1007, 0x33000
    movl $0x1111, FRAME0
    movl $0x2222, FRAME0+0x1000
    movq $FRAME0+7, PT_TEST
    invlpg PAGE0
    CHECKL PAGE0, $0x1111
    movl $0x30001, %eax
    movq %rax, %cr3
    CHECKL PAGE0, $0x2222
    movl $PML4, %ebx
    btsq $63, %rbx
    movq %rbx, %cr3
    CHECKL PAGE0, $0x1111
    movl $0x30001, %eax
    btsq $63, %rax
    movq %rax, %cr3
    CHECKL PAGE0, $0x2222
    movq %rbx, %cr3
    TEST "INVPCID"
    movq $0, AREA
    movq $PAGE0, AREA+8
    movq $FRAME0+0x1007, PT_TEST
    xorl %eax, %eax
    invpcid AREA, %rax
    CHECKL PAGE0, $0x2222
    movq $FRAME0+7, PT_TEST
    movl $1, %eax
    invpcid AREA, %rax
    CHECKL PAGE0, $0x1111
    # The other space's entry changes while it is away.
    movq $FRAME0+7, 0x33000
    movq $1, AREA
    xorl %eax, %eax
    invpcid AREA, %rax
    movl $0x30001, %eax
    btsq $63, %rax
    movq %rax, %cr3
    CHECKL PAGE0, $0x1111
    movq %rbx, %cr3
    movq $FRAME0+0x1107, PT_TEST
    SET_CR4 0x80
    movl $2, %eax
    invpcid AREA, %rax
    CHECKL PAGE0, $0x2222
    movq $FRAME0+7, PT_TEST
    movl $2, %eax
    invpcid AREA, %rax
    CHECKL PAGE0, $0x1111
    movq $FRAME0+0x1007, PT_TEST
    movl $3, %eax
    invpcid AREA, %rax
    CHECKL PAGE0, $0x2222
    TEST "INVPCID's faults"
    movl $4, %eax
    FAULT 13, 0, invpcid AREA, %rax
    movl $2, %eax
    movq $0x1000, AREA
    FAULT 13, 0, invpcid AREA, %rax
    movq $0, AREA
    xorl %eax, %eax
    btsq $47, AREA+8
    FAULT 13, 0, invpcid AREA, %rax
    USER_FAULT 13, 0, user_invpcid, user_invpcid
    CLEAR_CR4 PCIDE|0x80
    movq $1, AREA
    movl $1, %eax
    FAULT 13, 0, invpcid AREA, %rax

    TEST "control registers' reserved bits"
    movq %cr4, %rax
    btsq $30, %rax
    FAULT 13, 0, movq %rax, %cr4
    movq %cr4, %rax
    btrq $5, %rax
    FAULT 13, 0, movq %rax, %cr4
    movq %cr0, %rax
    btrq $31, %rax
    FAULT 13, 0, movq %rax, %cr0
    movq %cr0, %rax
    btsq $32, %rax
    FAULT 13, 0, movq %rax, %cr0
    movq %cr0, %rax
    btsq $29, %rax
    FAULT 13, 0, movq %rax, %cr0
    movq %cr0, %rax
    btrq $0, %rax
    FAULT 13, 0, movq %rax, %cr0
    movq %cr3, %rax
    btsq $52, %rax
    FAULT 13, 0, movq %rax, %cr3
    movl $16, %eax
    FAULT 13, 0, movq %rax, %cr8
    THE_END

user_invpcid:
    invpcid AREA+USER, %rax
